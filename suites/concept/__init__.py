"""The suite ``concept``: phrases in, all their instances out."""
