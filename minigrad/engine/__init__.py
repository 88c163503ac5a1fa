"""Tensors, how operations on them are recorded, and the backward pass."""
