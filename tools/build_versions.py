"""Build the documentation of every release side by side: ``make site``.

    python tools/build_versions.py [OUT]

OUT, docs/_build/site unless given, gets a folder for each tag such as v0.1.0, named by its version;
``dev`` for what is checked out; ``stable``, a copy of the newest release; ``versions.json``, from
which the pages make their list of versions; and a page that leads to ``stable``. A release that is
there already is kept, so that only new ones take time.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
LEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>minigrad</title>
<meta http-equiv="refresh" content="0; url={folder}/">
<a href="{folder}/">The documentation of minigrad</a>
</html>
"""


def git(*arguments: str, root: Path) -> bytes:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout


def releases(root: Path) -> list[str]:
    """The tags of releases, the newest first."""
    tags = git("tag", "--list", root=root).decode().split()
    found = [
        (tuple(map(int, match.groups())), match[0]) for match in map(TAG.fullmatch, tags) if match
    ]
    return [tag for _, tag in sorted(found, reverse=True)]


def build(source: Path, out: Path, strict: bool) -> None:
    """Build the documentation that stands in a source tree, with that tree's package."""
    options = ["--fail-on-warning", "--keep-going"] if strict else []
    command = [sys.executable, "-m", "sphinx", "--quiet", *options, "docs", str(out)]
    env = {**os.environ, "PYTHONPATH": str(source)}
    subprocess.run(command, cwd=source, env=env, check=True)


def build_tag(tag: str, out: Path, root: Path) -> None:
    """Build a release from its own files. What later tools warn of in it does not matter."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(git("archive", tag, root=root))) as files:
            # Python 3.11.2 has no filters yet; from 3.12 on one must be named.
            files.extraction_filter = getattr(tarfile, "data_filter", None)
            files.extractall(folder)
        part = out.with_name(f"{out.name}.part")
        build(Path(folder), part, strict=False)
    part.rename(out)  # a folder that is there is complete


def main(out: Path, root: Path = ROOT) -> None:
    out.mkdir(parents=True, exist_ok=True)
    tags = releases(root)
    names = [tag.removeprefix("v") for tag in tags]
    for tag, name in zip(tags, names, strict=True):
        if not (out / name).exists():
            print(f"building {tag}", flush=True)
            build_tag(tag, out / name, root)
    print("building dev", flush=True)
    build(root, out / "dev", strict=True)
    shutil.rmtree(out / "stable", ignore_errors=True)
    if names:
        shutil.copytree(out / names[0], out / "stable")
    known = {"stable": names[0] if names else None, "versions": ["dev", *names]}
    (out / "versions.json").write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    lead = LEAD.format(folder="stable" if names else "dev")
    (out / "index.html").write_text(lead, encoding="utf-8")
    (out / ".nojekyll").touch()  # folders whose names begin with _ are served, too
    print(f"the site: {out / 'index.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "_build" / "site").resolve())
