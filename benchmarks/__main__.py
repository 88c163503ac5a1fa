"""Run every benchmark, or those named: `python -m benchmarks overhead`.

Each is a program that prints a table. Each has a process to itself, so that the threads and caches
of one framework do not slow the next.
"""

import subprocess
import sys

PROGRAMS = (
    "training", "overhead", "operators", "compiling", "exactness", "observation", "optimizers",
    "training_loop", "jacobian", "picture",
)  # fmt: skip


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(PROGRAMS))
    if unknown:
        sys.exit(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(PROGRAMS)}")
    for name in names or PROGRAMS:
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
