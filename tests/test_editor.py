"""What an editor shows of public functions and methods: signature, types and first line.

Some functions are declared in one row of a table, others are written out. Whoever types the name
of one should not be able to tell. Asked are pyright, which reads the source, and ``inspect``,
which asks the running function.
"""

import doctest
import functools
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg

ROOT = Path(__file__).parent.parent
#: Pages whose code is a program, which must satisfy the strictest checks of a type checker.
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))
#: All but the page about SciPy, which has no types of its own.
PROGRAMS = [ROOT / "README.md", *(page for page in PAGES if page.stem != "scipy")]
AXIS, LINE, KEEP = "axis: Axis = None", "axis: int | None = None", "keepdims: bool = False"
DTYPE, FIRST, MASK = "dtype: Any = None", "initial: Any = None", "where: Any = True"

#: The parameters of functions, as an editor shows them, and what they return.
FUNCTIONS = {
    "mg.exp": "(x: Array) -> Tensor",
    "mg.tanh": "(x: Array) -> Tensor",
    "mg.sinh": "(x: Array) -> Tensor",
    "mg.sin": "(x: Array) -> Tensor",
    "mg.log2": "(x: Array) -> Tensor",
    "mg.sqrt": "(x: Array) -> Tensor",
    "mg.abs": "(x: Array) -> Tensor",
    "mg.add": "(x1: Array, x2: Array) -> Tensor",
    "mg.multiply": "(x1: Array, x2: Array) -> Tensor",
    "mg.maximum": "(x1: Array, x2: Array) -> Tensor",
    "mg.power": "(x1: Array, x2: Array) -> Tensor",
    "mg.floor": "(x: Array) -> Tensor",
    "mg.isnan": "(x: Array) -> Tensor",
    "mg.less": "(x1: Array, x2: Array) -> Tensor",
    "mg.gcd": "(x1: Array, x2: Array) -> Tensor",
    "mg.argmax": f"(a: Array, {LINE}, {KEEP}) -> Tensor",
    "mg.any": f"(a: Array, {AXIS}, {KEEP}) -> Tensor",
    "mg.sum": f"(a: Array, {AXIS}, {KEEP}, *, {DTYPE}, {FIRST}, {MASK}) -> Tensor",
    "mg.max": f"(a: Array, {AXIS}, {KEEP}, *, {FIRST}, {MASK}) -> Tensor",
    "mg.std": f"(a: Array, {AXIS}, ddof: float = 0, {KEEP}, *, {DTYPE}, {MASK}) -> Tensor",
    "mg.nansum": f"(a: Array, {AXIS}, {KEEP}) -> Tensor",
    "mg.cumsum": f"(a: Array, {LINE}) -> Tensor",
    "mg.clip": "(a: Array, min: Array = None, max: Array = None) -> Tensor",
    "mg.isclose": "(a: Array, b: Array, rtol: float = 0.00001, atol: float = 1e-8) -> Tensor",
    "mg.nonzero": "(a: Array) -> tuple[Tensor, ...]",
    "mg.concatenate": "(arrays: Array, axis: int | None = 0) -> Tensor",
    "mg.where": "(condition: Array, x: Array, y: Array) -> Tensor",
    "mg.linalg.inv": "(a: Array) -> Tensor",
}  # fmt: skip

#: The same of methods, without the tensor itself.
METHODS = {
    "sum": f"({AXIS}, {KEEP}, *, {DTYPE}, {FIRST}, {MASK}) -> Tensor",
    "mean": f"({AXIS}, {KEEP}, *, {DTYPE}, {MASK}) -> Tensor",
    "max": f"({AXIS}, {KEEP}, *, {FIRST}, {MASK}) -> Tensor",
    "argmax": f"({LINE}, {KEEP}) -> Tensor",
    "all": f"({AXIS}, {KEEP}) -> Tensor",
    "min": f"({AXIS}, {KEEP}, *, {FIRST}, {MASK}) -> Tensor",
    "argmin": f"({LINE}, {KEEP}) -> Tensor",
    "any": f"({AXIS}, {KEEP}) -> Tensor",
    "abs": "() -> Tensor",
    "log": "() -> Tensor",
    "sqrt": "() -> Tensor",
    "exp": "() -> Tensor",
    "tanh": "() -> Tensor",
    "round": "(decimals: int = 0) -> Tensor",
    "repeat": f"(repeats: Any, {LINE}) -> Tensor",
    "swapaxes": "(axis1: int, axis2: int) -> Tensor",
    "squeeze": f"({AXIS}) -> Tensor",
    "reshape": "(*shape: Any) -> Tensor",
    "cumsum": f"({LINE}) -> Tensor",
    "nonzero": "() -> tuple[Tensor, ...]",
}


class LanguageServer:
    """As much of an editor as it takes to point at a name."""

    def __init__(self, command, root):
        self.pipe = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.asked = 0
        folder = {"uri": root.as_uri(), "name": "root"}
        text = {"hover": {"contentFormat": ["plaintext"]}}
        able = {"workspace": {"configuration": True}, "textDocument": text}
        start = {"processId": None, "rootUri": root.as_uri(), "capabilities": able}
        self.ask("initialize", {**start, "workspaceFolders": [folder]})
        self.send({"method": "initialized", "params": {}})

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.pipe.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.pipe.stdin.flush()

    def receive(self):
        length = 0
        while line := self.pipe.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return json.loads(self.pipe.stdout.read(length))

    def ask(self, method, params):
        self.asked += 1
        self.send({"id": self.asked, "method": method, "params": params})
        while True:
            got = self.receive()
            if "method" not in got and got["id"] == self.asked:
                return got["result"]
            if "method" in got and "id" in got:  # the server asks for settings
                settings = [{"pythonPath": sys.executable}] * len(got["params"].get("items", []))
                self.send({"id": got["id"], "result": settings})


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What pyright shows of each name, by the name."""
    beside = Path(sys.executable).parent / "pyright-langserver"
    server = str(beside) if beside.exists() else shutil.which("pyright-langserver")
    if server is None:
        pytest.skip("pyright is not installed")
    names = [*FUNCTIONS, *(f"tensor.{name}" for name in METHODS)]
    lines = ["import minigrad as mg", "def use(tensor: mg.Tensor) -> None:"]
    lines += [f"    {name}" for name in names]
    file = {"uri": (ROOT / "shown_in_an_editor.py").as_uri()}  # never written
    server = LanguageServer([server, "--stdio"], ROOT)
    try:
        text = {"languageId": "python", "version": 1, "text": "\n".join(lines)}
        server.send(
            {"method": "textDocument/didOpen", "params": {"textDocument": {**file, **text}}}
        )
        found = {}
        for number, name in enumerate(names, 2):
            place = {"line": number, "character": len(lines[number]) - 1}
            hover = server.ask("textDocument/hover", {"textDocument": file, "position": place})
            found[name] = hover["contents"]["value"]
        return found
    finally:
        server.pipe.kill()
        server.pipe.communicate()


def split(hover):
    """The signature, on one line and without the mark of positional parameters, and the text."""
    head, _, text = hover.partition("\n\n")
    head = re.sub(r"\s+", " ", head).replace("( ", "(").replace(" )", ")")
    return head.replace(", /", "").partition(" def ")[2], text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_editor_shows_a_function(shown, name):
    signature, text = split(shown[name])
    assert signature == name.rpartition(".")[2] + FUNCTIONS[name]
    assert re.match(r".{5,}\.", text)


@pytest.mark.parametrize("name", METHODS)
def test_an_editor_shows_a_method(shown, name):
    signature, text = split(shown[f"tensor.{name}"])
    assert signature == name + METHODS[name]
    assert re.match(r".{5,}\.", text)


def parameters(signature):
    """The names and defaults of parameters, of a text or of a function."""
    scope = {"Axis": None, "Array": None, "Any": None, "Tensor": None}
    if isinstance(signature, str):
        exec(f"from __future__ import annotations\ndef f{signature}: ...", scope)
        signature = inspect.signature(scope["f"])
    return [(p.name, p.default) for p in signature.parameters.values()]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_tells_the_same_of_itself(name):
    function = mg
    for part in name.split(".")[1:]:
        function = getattr(function, part)
    assert function.__name__ == name.rpartition(".")[2]
    assert parameters(inspect.signature(function)) == parameters(FUNCTIONS[name])
    assert re.match(r".{5,}\.", function.__doc__)
    assert f">>> {function.__name__}(" in function.__doc__


@pytest.mark.parametrize("name", ["exp", "sum", "where", "floor", "nn.functional.conv2d", "norm"])
def test_help_says_that_tensors_come_back(name):
    function = functools.reduce(getattr, name.split("."), mg if name != "norm" else mg.linalg)
    assert inspect.signature(function).return_annotation == "Tensor"


@pytest.mark.parametrize(
    "name", ["", "callbacks", "data", "metrics", "models", "nn", "nn.functional", "nn.init", "onnx",
             "optim", "optim.lr_scheduler", "testing", "viz"],
)  # fmt: skip
def test_completion_shows_public_names_only(name):
    module = importlib.import_module(f"minigrad.{name}".rstrip("."))
    assert {one for one in dir(module) if not one.startswith("__")} == set(module.__all__)
    own = {
        key for key, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and not key.startswith("_")
        and isinstance(value, type)
    }  # fmt: skip
    assert own <= set(module.__all__) | {"Figure"}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_tells_the_same_of_itself(name):
    method = getattr(mg.tensor(np.ones((2, 3))), name)
    assert parameters(inspect.signature(method)) == parameters(METHODS[name])
    assert re.match(r".{5,}\.", method.__doc__)


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """What pyright in strict mode says of the programs: page, line of the program, text."""
    beside = Path(sys.executable).parent / "pyright"
    command = str(beside) if beside.exists() else shutil.which("pyright")
    if command is None:
        pytest.skip("pyright is not installed")
    folder = tmp_path_factory.mktemp("programs")
    for page in PROGRAMS:
        program = []
        for kind, code in re.findall(
            r"^```(python|pycon)\n(.*?)^```",
            page.read_text(encoding="utf-8"),
            re.MULTILINE | re.DOTALL,
        ):
            program.append(code if kind == "python" else doctest.script_from_examples(code))
        (folder / f"{page.stem}.py").write_text("\n".join(program), encoding="utf-8")
    # A session shows a value by its name, which is no mistake there.
    settings = {"typeCheckingMode": "strict", "reportUnusedExpression": False}
    settings |= {"extraPaths": [str(ROOT)], "reportMissingTypeStubs": False}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    options = ["--pythonpath", sys.executable, "--outputjson", "--project", str(folder)]
    done = subprocess.run([command, *options], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(PROGRAMS)
    found = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    return [
        f"{Path(one['file']).name}:{one['range']['start']['line'] + 1}: {one['message']}"
        for one in found
    ]


@pytest.mark.parametrize("page", [path.stem for path in PROGRAMS])
def test_programs_of_the_pages_are_strictly_typed(complaints, page):
    assert "\n".join(text for text in complaints if text.startswith(f"{page}.py:")) == ""
