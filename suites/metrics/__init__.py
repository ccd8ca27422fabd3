"""Counted how: IoU, sizes, intervals, average precision, recall."""
