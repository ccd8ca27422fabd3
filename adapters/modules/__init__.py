"""Image encoders and decoders of the other models, our own code."""
