"""How it is run: configuration, plan, runner, store, command line."""
