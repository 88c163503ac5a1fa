"""Build the wheel and the source distribution, and try both as users do: ``make release``.

    python tools/release.py [--tag v0.1.0] [--python python3.12 ...]

The files are left in dist/. They are installed in new environments outside this folder, one after
the other, with each Python named, or with each that is found; ``tools/smoke.py`` runs there. Then
some of the tests run in the unpacked source distribution. ``--tag``: the tag must be the version of
the files, and the changelog must tell what is new in it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
#: Links at the top level, which are for readers of the repository.
LINKS = {"nn", "optim"}
#: What building adds to a source distribution.
ADDED = {"PKG-INFO", "setup.cfg"}
#: Tests that read other parts of the source distribution than the package.
TESTS = ("packaging", "structure", "setup", "documents", "old_files", "tape")


def wheel_faults(names: Collection[str], files: Collection[str]) -> list[str]:
    """What is wrong with a wheel that holds these names; ``files``: those of the package."""
    found = {name for name in names if ".dist-info/" not in name}
    about = {name.partition(".dist-info/")[2] for name in names} - {""}
    faults = [f"{name} is missing" for name in sorted(set(files) - found)]
    faults += [f"{name} does not belong there" for name in sorted(found - set(files))]
    needed = {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE"}
    return faults + [f"{name} is missing" for name in sorted(needed - about)]


def sdist_faults(names: Collection[str], tracked: Collection[str]) -> list[str]:
    """What is wrong with a source distribution; ``tracked``: the files that git knows."""
    parts = {name.partition("/")[2] for name in names}
    found = {name for name in parts if name and not name.startswith("minigrad.egg-info/")}
    wanted = set(tracked) - LINKS
    faults = [f"{name} is missing" for name in sorted(wanted - found)]
    return faults + [f"{name} is not in git" for name in sorted(found - wanted - ADDED)]


def tag_faults(tag: str, version: str, changelog: str) -> list[str]:
    """Why this tag cannot be released."""
    faults = [] if tag == f"v{version}" else [f"the tag {tag} is not v{version}, the version"]
    if f"\n## [{version}]" not in changelog:
        faults.append(f"CHANGELOG.md has no section [{version}]")
    return faults


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> None:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    subprocess.run([str(word) for word in command], cwd=cwd, env={**kept, **env}, check=True)


def tracked() -> list[str]:
    """The files that git knows."""
    found = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in found.stdout.split("\0") if name]


def build() -> tuple[Path, Path]:
    """Build both, the wheel from the source distribution, and look at what they hold."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    files = tracked()
    package = [name for name in files if name.startswith("minigrad/")]
    with zipfile.ZipFile(wheel) as held:
        faults = [f"{wheel.name}: {text}" for text in wheel_faults(held.namelist(), package)]
    with tarfile.open(sdist) as held:
        names = [member.name for member in held if not member.isdir()]
        faults += [f"{sdist.name}: {text}" for text in sdist_faults(names, files)]
    if faults:
        sys.exit("\n".join(faults))
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    return wheel, sdist


def install_and_try(python: str, file: Path) -> None:
    """Install a file in a new environment, and run the smoke program far from this folder."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        own = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(python, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
        pip = (sys.executable, "-m", "pip", "--python", own)
        run(*pip, "install", "-qq", "--disable-pip-version-check", file, cwd=folder)
        shutil.copy(ROOT / "tools" / "smoke.py", folder)
        print(f"\n{file.name} with {python}:", flush=True)
        run(own, "-W", "error", folder / "smoke.py", cwd=folder)


def test_unpacked(sdist: Path) -> None:
    """Run some of the tests in the unpacked source distribution."""
    with tempfile.TemporaryDirectory() as text:
        with tarfile.open(sdist) as held:
            # Python 3.11.2 has no filters yet; from 3.12 on one must be named.
            held.extraction_filter = getattr(tarfile, "data_filter", None)
            held.extractall(text)
        (folder,) = Path(text).iterdir()
        print(f"\nTests in {sdist.name}:", flush=True)
        tests = [f"tests/test_{name}.py" for name in TESTS]
        run(sys.executable, "-m", "pytest", "-q", "-n", "auto", *tests, cwd=folder)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--tag", help="the tag that is released, as v0.1.0")
    options.add_argument("--python", nargs="+", help="the Pythons to install with")
    args = options.parse_args(arguments)
    if args.tag:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        faults = tag_faults(args.tag, project["version"], changelog)
        if faults:
            sys.exit("\n".join(faults))
    wheel, sdist = build()
    found = args.python or [path for name in PYTHONS if (path := shutil.which(name))]
    for python in found or [sys.executable]:
        for file in (wheel, sdist):
            install_and_try(python, file)
    test_unpacked(sdist)
    print(f"\nReady: {wheel.relative_to(ROOT)} and {sdist.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
