"""``mg.show_config``: versions, processor, kernels, and the BLAS library that does most work.

It also says when OpenBLAS runs a slower kernel than the processor could, and how to change that.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.kernels import blas, choice
from minigrad.lazy import load_late

#: OpenBLAS's kernels for x86, those with wider registers first; NumPy's names for the instructions
#: that they need; and the value for OPENBLAS_CORETYPE.
KERNELS = (
    ({"SkylakeX", "Cooperlake", "Sapphirerapids"}, {"X86_V4", "AVX512_SKX"}, "SkylakeX"),
    ({"Haswell", "Zen"}, {"X86_V3", "AVX2"}, "Haswell"),
)


def show_config() -> None:
    """Print versions, processor, BLAS and threads, and advice if BLAS could be faster.

    >>> mg.show_config()  # doctest: +ELLIPSIS
    minigrad ...
    """
    found = describe()
    width = max(map(len, found))
    lines = [f"{name:{width}}  {value}" for name, value in found.items()]
    advice = advise(blas.architecture(), cpu_features())
    if advice:
        lines += ["", advice]
    sys.stdout.write("\n".join(lines) + "\n")


def describe() -> dict[str, str]:
    """What ``show_config`` prints, by name."""
    built: Any = np.show_config(mode="dicts")
    library = built.get("Build Dependencies", {}).get("blas", {})
    threads = blas.threads()
    return {
        "minigrad": load_late("minigrad").__version__,
        "Python": f"{platform.python_version()} on {platform.platform(terse=True)}",
        "NumPy": np.__version__,
        "processor": f"{processor()}, {cores()} cores for this process",
        "features": " ".join(cpu_features()) or "unknown",
        "BLAS": blas.name() or f"{library.get('name', 'unknown')} {library.get('version', '')}",
        "BLAS kernel": blas.architecture() or "unknown",
        "threads": "unknown" if threads is None else str(threads),
        "kernels": choice.describe(),
    }


def processor() -> str:
    """The name of the processor, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_features() -> list[str]:
    """NumPy's names for the vector instructions that it found here."""
    built: Any = np.show_config(mode="dicts")
    extensions = built.get("SIMD Extensions", {})
    return [*extensions.get("baseline", []), *extensions.get("found", [])]


def advise(kernel: str | None, features: list[str]) -> str | None:
    """What to do when OpenBLAS runs a slower kernel than the processor could, or None."""
    if kernel is None or platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    for kernels, needed, name in KERNELS:
        if kernel in kernels:
            return None
        if needed.intersection(features):
            return (
                f"OpenBLAS runs its {kernel} kernel, but this processor could run {name}'s, whose "
                f"matrix products\nare up to twice as fast. Set OPENBLAS_CORETYPE={name} in the "
                f"environment before Python starts."
            )
    return None
