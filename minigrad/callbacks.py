"""``minigrad.callbacks``: the callbacks of ``Trainer.fit`` under their public path.

They are defined in :mod:`minigrad.training.callbacks`; what that file has besides is not public.
"""

from typing import TYPE_CHECKING

from minigrad.lazy import listed, spelled
from minigrad.training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    TensorBoard,
    TerminateOnNaN,
)

__all__ = [
    "CSVLogger", "Callback", "EarlyStopping", "LambdaCallback", "LearningRateScheduler",
    "ModelCheckpoint", "TensorBoard", "TerminateOnNaN",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__, __dir__ = spelled(__name__), listed(__name__)
