"""What to do: one schema for all commands, read from a YAML file, from flags, or from both."""
