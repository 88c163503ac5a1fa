"""What `make release` would refuse to publish."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from by_path import load

ROOT = Path(__file__).parent.parent


release = load(ROOT / "tools" / "release.py")
ABOUT = [f"p-1.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")]


def test_a_wheel_holds_the_package_and_its_licence():
    files = ["minigrad/a.py", "minigrad/page.html"]
    assert release.wheel_faults([*files, *ABOUT], files) == []
    held = ["minigrad/a.py", "tests/test_a.py", "minigrad/__pycache__/a.nbi", *ABOUT[:3]]
    assert release.wheel_faults(held, files) == [
        "minigrad/page.html is missing",
        "minigrad/__pycache__/a.nbi does not belong there",
        "tests/test_a.py does not belong there",
        "licenses/LICENSE is missing",
    ]


def test_a_source_distribution_holds_what_git_knows_but_the_links():
    tracked = ["nn", "optim", "README.md", "tests/test_a.py", ".ci/run"]
    names = ["README.md", "tests/test_a.py", ".ci/run", "PKG-INFO", "minigrad.egg-info/SOURCES.txt"]
    assert release.sdist_faults([f"p-1/{name}" for name in names], tracked) == []
    held = [f"p-1/{name}" for name in (*names[:2], "notes.txt")]
    assert release.sdist_faults(held, tracked) == [".ci/run is missing", "notes.txt is not in git"]


def test_a_tag_names_the_version_and_the_changelog_tells_of_it():
    told = "# Changelog\n\n## [1.2.0] - 2026-01-01\n"
    assert release.tag_faults("v1.2.0", "1.2.0", told) == []
    assert release.tag_faults("1.2.0", "1.2.0", told) == [
        "the tag 1.2.0 is not v1.2.0, the version"
    ]
    assert release.tag_faults("v1.2.1", "1.2.1", told) == ["CHANGELOG.md has no section [1.2.1]"]


def test_the_smoke_program_needs_the_package_only():
    """It runs where nothing but the wheel and its requirements is installed."""
    text = (ROOT / "tools" / "smoke.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    standard = {name for name in imported if name in sys.stdlib_module_names}
    assert imported - standard == {"minigrad", "numpy"}


def pythons_of_ci():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    return re.findall(r'"(3\.\d+)"', re.search(r"python: \[(.*)\]", text)[1])


def test_the_same_pythons_are_named_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert project["requires-python"] == f">={named[0]}"
    assert named == [name.removeprefix("python") for name in release.PYTHONS]
    assert named == pythons_of_ci()
    nox = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert re.findall(r'"(3\.\d+)"', nox) == named


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=str)
def test_workflows_use_actions_by_their_commit(path):
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert used
    for one in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


# -- documentation of several versions -----------------------------------------------------------


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A repository with two releases, and work after them; pages say what they were built from."""
    if not shutil.which("git"):
        pytest.skip("there is no git")
    versions = load(ROOT / "tools" / "build_versions.py")
    root = tmp_path / "repository"
    (root / "docs").mkdir(parents=True)

    def git(*arguments):
        own = ["user.name=A", "user.email=a@b", "commit.gpgsign=false", "tag.gpgsign=false"]
        settings = [word for one in own for word in ("-c", one)]
        subprocess.run(["git", *settings, *arguments], cwd=root, capture_output=True, check=True)

    git("init", "--quiet")
    for tag in ("v0.9.0", "v0.10.0", "v0.11.0rc1", "other", ""):
        (root / "docs" / "index.md").write_text(f"# {tag or 'now'}\n")
        git("add", ".")
        git("commit", "--quiet", "-m", tag or "now")
        if tag:
            git("tag", tag)
    (root / "docs" / "index.md").write_text("# not committed yet\n")

    def build(source, out, strict):
        built.append((out.name, strict))
        out.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "docs" / "index.md", out / "index.html")

    built = []
    monkeypatch.setattr(versions, "build", build)
    return versions, root, built


def pages(out):
    return {path.parent.name: path.read_text()[2:-1] for path in out.glob("*/index.html")}


def test_each_release_has_its_documentation(scratch, tmp_path):
    versions, root, built = scratch
    out = tmp_path / "site"
    versions.main(out, root)
    assert pages(out) == {
        "0.9.0": "v0.9.0", "0.10.0": "v0.10.0", "stable": "v0.10.0", "dev": "not committed yet",
    }  # fmt: skip
    known = json.loads((out / "versions.json").read_text())
    assert known == {"stable": "0.10.0", "versions": ["dev", "0.10.0", "0.9.0"]}
    assert 'url=stable/"' in (out / "index.html").read_text()
    assert dict(built)["dev"]  # warnings are errors in what can still be changed
    assert not any(strict for name, strict in built if name != "dev")
    assert not list(out.glob("*.part"))


def test_a_release_is_built_once(scratch, tmp_path):
    versions, root, built = scratch
    out = tmp_path / "site"
    versions.main(out, root)
    built.clear()
    versions.main(out, root)
    assert [name for name, _ in built] == ["dev"]
    shutil.rmtree(out / "0.9.0")
    (out / "0.9.0.part").mkdir()  # what was left of a build that failed
    versions.main(out, root)
    assert pages(out)["0.9.0"] == "v0.9.0"


def test_before_the_first_release_the_site_leads_to_dev(scratch, tmp_path, monkeypatch):
    versions, root, _ = scratch
    monkeypatch.setattr(versions, "releases", lambda root: [])
    versions.main(tmp_path / "site", root)
    assert sorted(pages(tmp_path / "site")) == ["dev"]
    assert 'url=dev/"' in (tmp_path / "site" / "index.html").read_text()
