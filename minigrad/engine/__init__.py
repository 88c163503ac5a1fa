"""Tensors, how operations on them are recorded, and the backward pass.

CONTRIBUTING.md has the order in which to read it.
"""
