"""Optimizers: what turns gradients into steps."""
