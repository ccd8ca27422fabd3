"""Who does the tasks of a run: this process, others of this machine, or other machines."""
