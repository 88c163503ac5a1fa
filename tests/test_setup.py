"""The set-up of .venv on poor machines: what to install, and where pip comes from."""

import hashlib
import json
from pathlib import Path

import pytest
from by_path import load

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.fixture
def setup_venv(tmp_path, monkeypatch):
    """The program, at home in an empty folder, with its calls recorded instead of run."""
    module = load(TOOLS / "setup_venv.py")
    project = """
    [project]
    name = "p"
    version = "1"
    dependencies = ["core"]
    [project.optional-dependencies]
    a = ["one"]
    b = ["two"]
    both = ["p[a, b]", "three"]
    """
    (tmp_path / "pyproject.toml").write_text(project)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(module, "RECORD", tmp_path / ".venv" / "installed.json")
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    module.calls = []

    def run(*command, quiet=False):
        module.calls.append([str(word) for word in command])
        if "venv" in command:
            module.PYTHON.parent.mkdir(parents=True, exist_ok=True)
            module.PYTHON.write_text("")
            module.RECORD.unlink(missing_ok=True)
        return module.PYTHON.exists()

    monkeypatch.setattr(module, "run", run)
    return module


def installed(module):
    """What pip was asked for since the last time, and whether .venv was made anew."""
    calls, module.calls[:] = list(module.calls), []
    return [call[-1] for call in calls if "--editable" in call], any("venv" in c for c in calls)


def test_extras_that_name_extras_are_followed(setup_venv):
    setup_venv.main(["both"])
    record = json.loads(setup_venv.RECORD.read_text())
    assert record["requirements"] == ["core", "one", "p==1", "three", "two"]


def test_nothing_is_done_twice(setup_venv):
    setup_venv.main(["both"])
    assert installed(setup_venv) == ([".[both]"], True)
    setup_venv.main(["both"])
    setup_venv.main(["a"])  # part of both
    assert setup_venv.calls == []


def test_a_new_extra_or_requirement_joins_what_is_there(setup_venv):
    setup_venv.main(["b"])
    setup_venv.main(["a"])
    assert installed(setup_venv) == ([".[b]", ".[a,b]"], True)
    file = setup_venv.ROOT / "pyproject.toml"
    file.write_text(file.read_text().replace('"one"', '"one>=2"'))
    setup_venv.main(["a"])
    assert installed(setup_venv) == ([".[a,b]"], False)


def test_a_moved_folder_gets_a_new_environment(setup_venv):
    setup_venv.main(["a"])
    record = json.loads(setup_venv.RECORD.read_text())
    setup_venv.RECORD.write_text(json.dumps({**record, "root": "/elsewhere"}))
    installed(setup_venv)
    setup_venv.main(["a"])
    assert installed(setup_venv) == ([".[a]"], True)


def test_an_environment_made_by_hand_is_kept(setup_venv):
    setup_venv.PYTHON.parent.mkdir(parents=True)
    setup_venv.PYTHON.write_text("")
    setup_venv.main(["a"])
    assert installed(setup_venv) == ([".[a]"], False)


def test_a_failed_installation_is_not_recorded(setup_venv, monkeypatch):
    real = setup_venv.run
    monkeypatch.setattr(setup_venv, "run", lambda *c, **k: real(*c, **k) and "--editable" not in c)
    with pytest.raises(SystemExit, match="could not install"):
        setup_venv.main(["a"])
    assert not setup_venv.RECORD.exists()


def test_without_any_way_to_get_pip_one_sentence_says_what_to_install(setup_venv, monkeypatch):
    monkeypatch.setattr(setup_venv, "run", lambda *command, quiet=False: "--clear" in command)
    with pytest.raises(SystemExit, match="apt install python3-venv"):
        setup_venv.main(["a"])


def test_an_unknown_extra_is_named(setup_venv):
    with pytest.raises(SystemExit, match="no extra named nonsense"):
        setup_venv.main(["nonsense"])


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index in a folder, configured for pip; returns a function that adds wheels."""
    folder = tmp_path / "an index" / "pip"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("<!DOCTYPE html>")
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {folder.parent.as_uri()}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")  # this machine's own indexes stay out of it
    monkeypatch.setenv("PIP_CERT", "")

    def add(version, attributes="", content=b"a wheel", stated=None):
        name = f"pip-{version}-py3-none-any.whl"
        (folder / name).write_bytes(content)
        digest = stated or hashlib.sha256(content).hexdigest()
        with (folder / "index.html").open("a") as page:
            page.write(f'<a href="{name}#sha256={digest}" {attributes}>{name}</a>\n')

    return add


def test_the_newest_pip_that_fits_is_found(index):
    index("9.9")
    index("23.10.1")
    index("23.9")
    index("99.0", "data-yanked='broken'")
    index("98.0", "data-requires-python='&gt;=3.99'")
    index("97.0b1")
    fetch_pip = load(TOOLS / "fetch_pip.py")
    links = [link for page in fetch_pip.pages() for link in fetch_pip.WheelLinks(*page).found]
    newest, address = max(links)
    assert newest == (23, 10, 1)
    assert fetch_pip.fetch(address.partition("#")[0]) == b"a wheel"


@pytest.fixture
def python(tmp_path):
    """Stand in for a Python, so that no real one is ever changed: print the arguments."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    return str(program)


def test_a_wheel_installs_itself(index, python, capfd):
    index("23.0")
    with pytest.raises(SystemExit) as stop:
        load(TOOLS / "fetch_pip.py").main(python)
    assert stop.value.code == 0
    program, *arguments, wheel = capfd.readouterr().out.split()
    assert program == f"{wheel}/pip"
    assert arguments == ["install", "--no-index"]
    assert Path(wheel).name == "pip-23.0-py3-none-any.whl"


def test_a_wheel_with_another_hash_is_refused(index, python, capfd):
    index("23.0", stated="0" * 64)
    with pytest.raises(SystemExit, match=r"the hash of pip-23\.0"):
        load(TOOLS / "fetch_pip.py").main(python)
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("index")
def test_without_a_wheel_the_reason_is_given(python):
    with pytest.raises(SystemExit, match="no index in the pip configuration"):
        load(TOOLS / "fetch_pip.py").main(python)
