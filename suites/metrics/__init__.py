"""Counted how, mask by mask: IoU, sizes, recall, stability. Records hold what these give."""
