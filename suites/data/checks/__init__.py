"""What is wrong with a data set, found in one pass (`sambench data verify`)."""
