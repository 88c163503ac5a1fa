"""minigrad: define-by-run automatic differentiation on NumPy.

>>> import minigrad as mg
>>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> with mg.GradientTape() as tape:
...     y = (x * x).sum()
>>> tape.gradient(y, x)
tensor([2., 4., 6.])
"""

# pyright: reportUnusedImport=false

import sys
from typing import TYPE_CHECKING, Any

from minigrad.engine.checkpoint import *
from minigrad.engine.creation import *
from minigrad.engine.custom_gradient import *
from minigrad.engine.random import *
from minigrad.engine.switches import *
from minigrad.engine.tape import *
from minigrad.engine.tensor import *
from minigrad.engine.transforms import *
from minigrad.operators.arithmetic import *
from minigrad.operators.exponential import *
from minigrad.operators.hyperbolic import *
from minigrad.operators.indexing import *
from minigrad.operators.joining import *
from minigrad.operators.nondifferentiable import *
from minigrad.operators.products import *
from minigrad.operators.reductions import *
from minigrad.operators.shapes import *
from minigrad.operators.trigonometric import *

__version__ = "0.1.0"

if TYPE_CHECKING:
    from minigrad import (
        callbacks as callbacks,
        data as data,
        metrics as metrics,
        models as models,
        nn as nn,
        optim as optim,
        testing as testing,
        viz as viz,
    )
    from minigrad.debug.anomaly import (
        AnomalyError as AnomalyError,
        detect_anomaly as detect_anomaly,
    )
    from minigrad.debug.environment import show_config as show_config
    from minigrad.debug.explain import explain as explain
    from minigrad.debug.profile import observe as observe
    from minigrad.debug.summary import Summary as Summary, summary as summary
    from minigrad.graph import make_dot as make_dot
    from minigrad.io.checkpoints import (
        load_checkpoint as load_checkpoint,
        save_checkpoint as save_checkpoint,
    )
    from minigrad.io.models import load_model as load_model, save_model as save_model
    from minigrad.io.tensors import load as load, load_metadata as load_metadata, save as save
    from minigrad.operators.on_demand import *
    from minigrad.training.history import History as History
    from minigrad.training.trainer import Trainer as Trainer

#: Public names that not every program needs, and the modules they come from at first use. The rest,
#: those of rarely used operators, need no list: they all come together.
_LAZY = {
    "AnomalyError": "minigrad.debug.anomaly",
    "History": "minigrad.training.history",
    "Summary": "minigrad.debug.summary",
    "Trainer": "minigrad.training.trainer",
    "callbacks": "minigrad.callbacks",
    "data": "minigrad.data",
    "detect_anomaly": "minigrad.debug.anomaly",
    "explain": "minigrad.debug.explain",
    "make_dot": "minigrad.graph",
    "load": "minigrad.io.tensors",
    "load_checkpoint": "minigrad.io.checkpoints",
    "load_metadata": "minigrad.io.tensors",
    "load_model": "minigrad.io.models",
    "metrics": "minigrad.metrics",
    "models": "minigrad.models",
    "nn": "minigrad.nn",
    "observe": "minigrad.debug.profile",
    "optim": "minigrad.optim",
    "save": "minigrad.io.tensors",
    "save_checkpoint": "minigrad.io.checkpoints",
    "save_model": "minigrad.io.models",
    "show_config": "minigrad.debug.environment",
    "summary": "minigrad.debug.summary",
    "testing": "minigrad.testing",
    "viz": "minigrad.viz",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LAZY:
        module = importlib.import_module(_LAZY[name])
        found = module if module.__name__ == f"minigrad.{name}" else getattr(module, name)
        globals()[name] = found
        return found
    more = importlib.import_module("minigrad.operators.on_demand")
    globals().update({n: value for n, value in vars(more).items() if not n.startswith("_")})
    if name in globals():
        return globals()[name]
    # With name and obj, Python adds the nearest name that there is.
    message = f"module 'minigrad' has no attribute {name!r}"
    raise AttributeError(message, name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    from minigrad.operators import on_demand

    return sorted({*globals(), *vars(on_demand), *_LAZY})
