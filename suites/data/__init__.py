"""On what is measured: annotations, images, masks, boxes of detectors, data sets by name."""
