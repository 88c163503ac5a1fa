"""Neural networks: modules, layers, losses, initialisers."""

from minigrad.nn.module import Module
from minigrad.parameter import Parameter

__all__ = ["Module", "Parameter"]
