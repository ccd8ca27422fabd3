"""A detector's boxes as files: what made them, and how they come in shards."""
