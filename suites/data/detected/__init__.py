"""What a detector found: its file read, its ids matched, its boxes looked at."""
