"""From the records of a cell to its numbers: means, average precision, intervals. No record depends on it."""
