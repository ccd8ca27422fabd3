"""The suite ``sginw``, Segmentation in the Wild, and its 25 data sets."""
