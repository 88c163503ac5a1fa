"""Models leave for other runtimes as ONNX files, and come in to be trained and looked into.

Export records one call and translates its operators by a table; import turns each node of a file
into a module by another. The package ``onnx`` is loaded when a file is written or read, not before.
"""

from minigrad.onnx.export import export
from minigrad.onnx.load import load

__all__ = ["export", "load"]


def __dir__() -> list[str]:
    return sorted(__all__)
