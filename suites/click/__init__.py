"""The suite ``click``, and the simulated user who clicks."""
