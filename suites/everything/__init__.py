"""The suite ``everything``, and the generator of all masks of an image."""
