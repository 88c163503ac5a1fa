"""``minigrad.metrics``: the metrics of ``Trainer`` under their public path.

They are defined in :mod:`minigrad.training.metrics`; what that file has besides is not public.
"""

from minigrad.training.metrics import (
    F1,
    Accuracy,
    ConfusionMatrix,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Precision,
    Recall,
    TopKAccuracy,
)

__all__ = [
    "Accuracy", "ConfusionMatrix", "F1", "MeanAbsoluteError", "MeanSquaredError", "Metric",
    "Precision", "Recall", "TopKAccuracy",
]  # fmt: skip
