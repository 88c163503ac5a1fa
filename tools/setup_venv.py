"""Make .venv, with minigrad and the named extras in it; do nothing if it is there already.

`python3 tools/setup_venv.py test` is what `make test` runs first. A fresh machine is allowed to be
poor: its Python may be externally managed, or lack ensurepip, or pip, or both. Therefore this file
uses the standard library only. It can be read by a Python that is too old, to say so.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

OLDEST = (3, 11)
if sys.version_info < OLDEST:
    newer = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
    sys.exit(
        f"setup: minigrad needs Python {OLDEST[0]}.{OLDEST[1]} or newer; {sys.executable} is "
        f"{sys.version.split()[0]}. Name another one: make PYTHON={[*newer, '/path/to/python3'][0]}"
    )

import tomllib  # noqa: E402  (not in a Python that is too old)

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
RECORD = VENV / "installed.json"  # written last: .venv without it is not complete
ABI = sysconfig.get_config_var("SOABI")  # the kind of Python: packages for one do not fit another


def main(extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {"abi": ABI, "root": str(ROOT)}
    record = read_record()
    same_base = base.items() <= record.items()
    if same_base:
        if requirements_of(extras, project) <= set(record["requirements"]):
            return
        still_known = set(record["extras"]) & set(project["optional-dependencies"])
        extras = sorted({*extras, *still_known})
    requirements = sorted(requirements_of(extras, project))

    print(f"Setting up .venv ({', '.join(extras)}), once: up to a minute ...", flush=True)
    if (record and not same_base) or not has_pip():
        make_venv()
    RECORD.unlink(missing_ok=True)
    project_with_extras = f".[{','.join(extras)}]"
    if not run(PYTHON, "-m", "pip", "install", "--quiet", "--editable", project_with_extras):
        sys.exit("setup: pip could not install what .venv needs; its message is above.")
    # As pip does for what is not editable: the first import is then as quick as the next.
    run(PYTHON, "-m", "compileall", "-q", "minigrad", quiet=True)
    record = {**base, "extras": extras, "requirements": requirements}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def requirements_of(extras: list[str], project: dict[str, Any]) -> set[str]:
    """Return every requirement the extras stand for, other extras (`minigrad[a,b]`) included."""
    unknown = set(extras) - set(project["optional-dependencies"])
    if unknown:
        sys.exit(f"setup: pyproject.toml has no extra named {', '.join(sorted(unknown))}.")
    found = {f"{project['name']}=={project['version']}", *project["dependencies"]}
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            if requirement.startswith(f"{project['name']}["):
                inner = requirement.partition("[")[2].rstrip("]").split(",")
                found |= requirements_of([name.strip() for name in inner], project)
            else:
                found.add(requirement)
    return found


def read_record() -> dict[str, Any]:
    """Return what .venv was made of, or nothing if it is absent, incomplete or broken."""
    try:
        record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if PYTHON.exists() else {}


def make_venv() -> None:
    """Create .venv, then bring pip into it by the first way that this machine has."""
    if run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV, quiet=True):
        ways: list[list[str | Path]] = [
            [PYTHON, "-m", "ensurepip"],
            [sys.executable, "-m", "pip", "--python", PYTHON, "install", "pip"],
            [sys.executable, ROOT / "tools" / "fetch_pip.py", PYTHON],
            ["uv", "pip", "install", "--python", PYTHON, "pip"],
        ]
        for way in ways:
            run(*way, quiet=True)
            if has_pip():
                return
    shutil.rmtree(VENV, ignore_errors=True)
    run("virtualenv", "--python", sys.executable, VENV, quiet=True)
    if not has_pip():
        sys.exit(
            f"setup: {sys.executable} cannot make .venv without ensurepip or pip. Install one "
            "(on Debian and Ubuntu: apt install python3-venv) or set PIP_INDEX_URL, and try again."
        )


def has_pip() -> bool:
    """Return whether .venv has pip, and a Python of the kind that runs this program."""
    check = "import pip, sys, sysconfig; sys.exit(sysconfig.get_config_var('SOABI') != sys.argv[1])"
    return run(PYTHON, "-c", check, ABI, quiet=True)


def run(*command: str | Path, quiet: bool = False) -> bool:
    """Run the command in the project's folder; return whether it exists and succeeds."""
    output = subprocess.DEVNULL if quiet else None
    settings = {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_USER": "0",  # a configured `user = true` makes no sense in .venv
        "PYTHONWARNINGS": "ignore",  # setuptools warns of every editable installation
    }
    environment = {**os.environ, **settings}
    try:
        subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
