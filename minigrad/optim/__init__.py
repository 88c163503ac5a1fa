"""Optimizers, learning-rate schedules and gradient clipping.

``optimizer.py`` has what all optimizers share; ``sgd.py``, ``adaptive.py`` and ``adam.py`` have the
update rules, each as its paper states it.
"""

from typing import TYPE_CHECKING

from minigrad.lazy import listed, spelled
from minigrad.optim import lr_scheduler as lr_scheduler
from minigrad.optim.adam import Adam, AdamW, NAdam, RAdam
from minigrad.optim.adaptive import Adadelta, Adagrad, RMSprop
from minigrad.optim.clipping import clip_by_global_norm, clip_grad_norm_, clip_grad_value_
from minigrad.optim.lbfgs import LBFGS
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.sgd import SGD

__all__ = [
    "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "NAdam", "Optimizer", "RAdam",
    "RMSprop", "clip_by_global_norm", "clip_grad_norm_", "clip_grad_value_", "lr_scheduler",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__, __dir__ = spelled(__name__), listed(__name__)
