"""One file a family of models, each behind `adapters.base.Segmenter`."""
