"""A model's parameters: whose files they are, how to get them, whether they are right, which are taken."""
