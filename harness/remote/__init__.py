"""Runs whose records and results lie in an object store: a folder here mirrors what is there."""
