"""Masks as pictures: a PNG an image, whose pixels' values say what is where."""
