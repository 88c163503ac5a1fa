"""Which set of kernels runs: the one compiled by numba where there is one, else NumPy's.

``MINIGRAD_KERNELS=numpy`` or ``=numba`` in the environment decides. Without it, numba is used where
it is installed and works, for arrays that are worth it: importing it takes half a second, which a
small computation should not wait for.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from typing import Any

from minigrad.kernels import threads
from minigrad.kernels.current import COMPILED, MODULES
from minigrad.lazy import load_late

#: The environment variable.
VARIABLE = "MINIGRAD_KERNELS"
#: From this many elements on, numba is worth its while.
LARGE = 4096


def wanted() -> str:
    """What the environment asks for: "numpy", "numba" or "". Raises ValueError for other words."""
    word = os.environ.get(VARIABLE, "")
    if word not in ("", "numpy", "numba"):
        raise ValueError(f"{VARIABLE} must be numpy or numba, got {word!r}")
    return word


@functools.cache
def problem() -> str:
    """Why the compiled set cannot be used, or "": asked once, when a kernel is first needed."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed: pip install 'minigrad[fast]'"
    try:
        load_late("minigrad.kernels.compiled.build")
    except Exception as error:  # noqa: BLE001 (whatever is wrong with it, NumPy takes over)
        return f"numba does not work here: {type(error).__name__}: {error}"
    if load_late("numba").config.DISABLE_JIT:
        return "numba compiles nothing, as NUMBA_DISABLE_JIT is set"
    return ""


def describe() -> str:
    """The set that runs, and why it is not the compiled one."""
    word = wanted()
    if word == "numpy":
        return f"numpy ({VARIABLE}=numpy)"
    return f"numpy ({problem()})" if problem() else f"numba {load_late('numba').__version__}"


def choose(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel of this name that is to run, where ``kernel`` is the one written with NumPy.

    Raises ImportError if the environment asks for numba and it cannot be used.
    """
    word = wanted()
    if name not in COMPILED.get(MODULES[name], "").split() or word == "numpy":
        return kernel
    if word == "numba":
        if problem():
            raise ImportError(f"{VARIABLE}=numba, but {problem()}")
        return _load(name)
    if importlib.util.find_spec("numba") is None:
        return kernel
    compiled: Callable[..., Any] | None = None

    @functools.wraps(kernel)
    def by_size(x: Any, *others: Any, **named: Any) -> Any:
        nonlocal compiled
        if x.size < LARGE:
            return kernel(x, *others, **named)
        if compiled is None:
            compiled = kernel if problem() else _load(name)
        return compiled(x, *others, **named)

    return by_size


def _load(name: str) -> Callable[..., Any]:
    if threads.look_out is None:  # then threads can wait awake
        threads.look_out = load_late("minigrad.kernels.compiled.waiting").prepare()
    found: Callable[..., Any] = getattr(
        load_late(f"minigrad.kernels.compiled.{MODULES[name]}"), name
    )
    return found
