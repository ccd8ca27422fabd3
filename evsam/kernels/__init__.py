"""Kernels of our own for what PyTorch computes in many steps; the plain version of each is its reference."""
