"""mg.film: the steps that it records are what ran, and its page plays them in a real browser."""

import base64
import html
import json
import math
import re
import threading

import numpy as np
import pytest
from browser import Browser, executable

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.debug.statistics import Statistics
from minigrad.graph.rule_text import rule_text
from minigrad.graph.snapshot import snapshot
from minigrad.operators.declare import OPERATORS

needs_browser = pytest.mark.skipif(
    executable() is None, reason="no Chromium is installed (apt install chromium)"
)


def digits_model():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def scalar_film():
    x = mg.tensor(2.0, requires_grad=True)
    y = mg.tensor(-3.0, requires_grad=True)
    with mg.film() as steps:
        (x * y + mg.sin(x)).backward()
    return steps, x, y


def data_of(page):
    """The data that a page holds."""
    found = re.search('<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


def values(step):
    return {part["part"]: part["numbers"] for part in step["parts"]}


def test_the_steps_of_an_expression():
    steps, x, y = scalar_film()
    records = steps.to_records()
    assert [(step["kind"], step["title"]) for step in records] == [
        ("forward", "multiply"), ("forward", "sin"), ("forward", "add"),
        ("backward", "rule of add"), ("backward", "rule of sin"), ("backward", "rule of multiply"),
        ("gradient", "gradient of leaf"), ("gradient", "gradient of leaf"),
    ]  # fmt: skip
    assert values(records[0]) == {"x1": [["2"]], "x2": [["-3"]], "output": [["-6"]]}
    assert [part["kept"] for part in records[0]["parts"]] == [True, True, False]
    assert "backward()" in records[0]["line"]
    assert records[0]["file"].startswith("test_film.py:")
    g, to_x, to_y = records[5]["parts"]
    assert (g["numbers"], to_x["numbers"], to_y["numbers"]) == ([["1"]], [["-3"]], [["2"]])
    assert to_x["note"] == "arrival 2"  # the first came from the sine
    assert "lambda g, _ans, _x, y: g * y" in records[5]["rule"]
    ends = {step["parts"][0]["numbers"][0][0] for step in records[6:]}
    assert ends == {f"{x.grad.item():.8g}", f"{y.grad.item():.8g}"}
    assert records[6]["parts"][0]["note"] == "the sum of 2"


def test_settings_of_windows_are_told_one_by_one():
    x = mg.tensor(np.arange(8.0).reshape(1, 1, 2, 4), requires_grad=True)
    with mg.film() as steps:
        y = F.max_pool2d(x, 2)
    told = "kernel_size=(2, 2), stride=(2, 2)"
    assert told in steps.to_records()[0]["settings"]
    assert told in mg.make_dot(y).source


def test_a_second_derivative_is_recorded_as_it_runs():
    v = mg.tensor([0.5, 1.0], requires_grad=True)
    with mg.film() as steps:
        with mg.GradientTape() as outer:
            with mg.GradientTape() as inner:
                z = mg.sum(mg.sin(v) * v)
            slope = inner.gradient(z, v)
        curvature = outer.gradient(slope, v)
    records = steps.to_records()
    assert [step["title"] for step in records].count("cos") == 1
    gradients = [step["parts"][0] for step in records if step["kind"] == "gradient"]
    for part, expected in zip(gradients, (slope, curvature), strict=True):
        assert part["numbers"] == [[f"{value:.4g}" for value in expected.numpy()]]
    assert all(step["at"] >= 0 for step in data_of(str(steps.page()))["steps"])


def test_every_step_of_a_network_is_in_its_picture():
    model = digits_model()
    parameters = dict(model.named_parameters())
    with mg.film() as steps:
        F.cross_entropy(model(mg.randn(8, 1, 8, 8)), np.arange(8)).backward()
    page = str(steps.page(parameters))
    assert len(page.encode()) < 1_000_000
    data = data_of(page)
    names = [box["full"] for box in data["boxes"]]
    for step, record in zip(data["steps"], steps.to_records(), strict=True):
        box = names[step["at"]]
        assert box == (step["title"].removeprefix("gradient of ").removeprefix("rule of "))
        if step["kind"] == "gradient":
            grad = parameters[box].grad.numpy()
            assert record["parts"][0]["shape"] == " × ".join(map(str, grad.shape))
        for part in step["parts"]:
            assert part.get("to", 0) >= 0
    assert len({step["at"] for step in data["steps"] if step["kind"] == "gradient"}) == 8
    modules = {step["module"] for step in data["steps"] if step["kind"] == "forward"}
    assert {"0: Conv2d", "9: Linear"} <= modules


@pytest.mark.parametrize(
    ("compute", "inputs"),
    [
        (lambda x: np.stack([x, x]), [[["1.5"]], [["1.5"]]]),
        (lambda x: mg.einsum(",->", x, x), [[["1.5"]], [["1.5"]]]),
        (lambda x: np.concatenate([[7.0, 8.0], x.reshape(1), [9.0]]), [[["7", "8"]], [["1.5"]], [["9"]]]),
        (lambda x: mg.einsum("ij,j->i", np.eye(2), x * np.ones(2)), [[["1", "0"], ["0", "1"]], [["1.5", "1.5"]]]),
    ],
)  # fmt: skip
def test_the_inputs_of_an_operator_that_takes_any_number(compute, inputs):
    x = mg.tensor(1.5, requires_grad=True)
    with mg.film() as steps:
        compute(x)
    parts = steps.to_records()[-1]["parts"][:-1]
    assert [part.get("numbers") for part in parts] == inputs


def test_gradients_of_a_folded_block_have_the_box_of_the_first():
    model = nn.Sequential(*[nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(4)])
    with mg.film() as steps:
        model(mg.ones((2, 3))).sum().backward()
    data = data_of(str(steps.page(dict(model.named_parameters()))))
    names = [box["full"] for box in data["boxes"]]
    gradients = [step for step in data["steps"] if step["kind"] == "gradient"]
    assert len(gradients) == 8
    for step in gradients:
        own = step["title"].removeprefix("gradient of ")
        box = names[step["at"]]
        assert box == f"0.0.{own.rpartition('.')[2]}"
        assert step.get("settings", f"drawn as {own}") == f"drawn as {box}"


def test_the_model_itself_is_named_by_its_class():
    with mg.film() as steps:
        nn.Sequential(nn.Linear(2, 1))(nn.Linear(3, 2)(mg.ones((1, 3))))
    assert [step["module"] for step in steps.to_records()] == ["Linear", "0: Linear"]


def test_nothing_is_recorded_outside():
    x = mg.tensor(1.0, requires_grad=True)
    with mg.film() as steps:
        y = x * 2
    (y * 3).backward()
    assert [step["title"] for step in steps.to_records()] == ["multiply"]
    with mg.film() as empty:
        mg.tensor(1.0) * 2
        with mg.no_grad():
            x * 2
    assert len(empty) == 0
    assert empty._repr_html_() is None
    with pytest.raises(ValueError, match="nothing was recorded"):
        empty.page()


def test_another_thread_is_not_recorded():
    x = mg.tensor(1.0, requires_grad=True)
    with mg.film() as steps:
        worker = threading.Thread(target=lambda: x * 2)
        worker.start()
        worker.join()
    assert len(steps) == 0


def test_other_hooks_go_on():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.observe(), mg.film() as steps, mg.GradientTape() as tape:
        mg.sum(x * x)
    assert tape.to_records()[0]["values"] == "min 1, mean 2.5, max 4"
    assert len(steps) == 2


def test_the_steps_left_out_are_counted():
    x = mg.tensor(1.0, requires_grad=True)
    with mg.film(steps=10) as steps:
        y = x
        for _ in range(100):
            y = y * 1.5
        y.backward()
    assert len(steps) == 10
    page = str(steps.page())
    assert "191 more steps were not recorded" in page
    for wrong in (0, -1, 2.5, "many"):
        with pytest.raises((TypeError, ValueError), match="steps"):
            mg.film(steps=wrong)


def test_a_long_history_makes_a_small_page():
    x = mg.tensor(1.0, requires_grad=True)
    with mg.film() as steps:
        y = x
        for _ in range(5000):
            y = y * 1.0
        y.backward()
    assert len(str(steps.page()).encode()) < 1_000_000


def test_files(tmp_path):
    steps, *_ = scalar_film()
    path = tmp_path / "steps.html"
    assert steps.save(path) == str(path)
    assert path.read_text(encoding="utf-8") == str(steps.page())
    assert html.escape(str(steps.page()), quote=True) in steps._repr_html_()
    with pytest.raises(ValueError, match=r"suffix must be \.html"):
        steps.save(tmp_path / "steps.svg")
    with pytest.raises(TypeError, match="params"):
        steps.page(params=[1])


def test_blocks_are_opened_in_the_picture_as_in_make_dot(tmp_path):
    model = nn.Sequential(*[nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(3)])
    with mg.film() as steps:
        model(mg.ones((1, 2))).sum().backward()

    def boxes(**options):
        page = tmp_path / "steps.html"
        steps.save(page, dict(model.named_parameters()), **options)
        return len(data_of(page.read_text(encoding="utf-8"))["boxes"])

    assert boxes() < boxes(expand=True)
    assert boxes(depth=0) < boxes(depth=2, expand="1")
    with pytest.raises(ValueError, match="expand names 'nothing'"):
        boxes(expand="nothing")
    with pytest.raises(TypeError, match=r"write dict\(model.named_parameters\(\)\)"):
        steps.save(tmp_path / "steps.html", model)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(()), np.zeros((0,)), np.zeros((0, 3)), np.full(3, np.nan), np.array([np.inf, 1.0]),
        np.zeros(1000), np.full((100, 90), np.nan), np.ones((2, 3, 40, 50)), np.ones((2, 0, 3, 3)),
        np.ones((2, 3, 4, 5, 6)), np.ones((3, 4), complex), np.ones((30, 40), complex),
        np.ones((30, 40), bool), np.ones(3, np.float16), np.arange(1000), np.array([[10**18, -1]]),
        np.full((30, 30), 3e38, np.float32), np.array([-3.4e38, 3.4e38] * 100, np.float32),
    ],
)  # fmt: skip
def test_any_array_has_a_snapshot(array):
    found = snapshot(array, filters=array.ndim == 4)
    json.dumps(found, allow_nan=False)
    assert len(json.dumps(found)) < 4000
    assert ("numbers" in found) == (0 < array.size <= 48)


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [((), 1, 1), ((5,), 1, 5), ((1, 16, 1, 1), 1, 16), ((2, 2, 2), 4, 2), ((3, 4), 3, 4)],
)
def test_small_arrays_of_any_shape_are_shown_as_numbers(shape, rows, columns):
    numbers = snapshot(np.arange(math.prod(shape)).reshape(shape))["numbers"]
    assert (len(numbers), len(numbers[0])) == (rows, columns)
    assert [number for row in numbers for number in row] == [str(i) for i in range(rows * columns)]


def test_statistics_take_repeated_elements_once():
    rng = np.random.default_rng(0)
    row = np.array([1.0, np.nan, 3.0, np.inf, 3.0], np.float32)
    for array in (
        np.broadcast_to(row, (7, 5)), np.broadcast_to(row[:, None], (5, 7)), row[:, None].T,
        rng.normal(size=(6, 5)).astype(np.float32).T[::2], np.broadcast_to(2.0, (3, 4)),
        np.broadcast_to(row, (0, 5)),
    ):  # fmt: skip
        shown, plain = Statistics(array), Statistics(array.copy())
        for name in ("size", "nan", "infinite", "min", "max", "histogram"):
            np.testing.assert_equal(getattr(shown, name), getattr(plain, name), name)
        np.testing.assert_allclose(shown.mean, plain.mean, rtol=1e-12)
    huge = np.broadcast_to(row, (1 << 40, 5))  # 20 terabytes
    assert (Statistics(huge).nan, Statistics(huge).max) == (1 << 40, 3.0)


def test_an_image_has_the_values_of_its_map():
    array = np.linspace(-1.0, 2.0, 64).reshape(1, 1, 8, 8)
    array[0, 0, 3, 3] = np.nan
    image = snapshot(array)["image"]
    levels = np.frombuffer(base64.b64decode(image["bytes"]), np.uint8).reshape(8, 8)
    assert levels[3, 3] == 0
    expected = 1 + np.rint(254 * (array[0, 0] + 2) / 4)  # from -2 to 2, so that 0 is white
    known = ~np.isnan(array[0, 0])
    assert np.array_equal(levels[known], expected[known])


def test_rules_are_found_in_the_source():
    missing = [
        name for name, op in OPERATORS.items()
        if op.declared.__module__.startswith("minigrad.")  # not those that pages of the docs declare
        and not rule_text(op, next(i for i, rule in enumerate([*op.rules, op.vjp_all]) if rule))
    ]  # fmt: skip
    assert missing == []
    assert rule_text(OPERATORS["sin"], 0) == "lambda g, _ans, x: g * np.cos(x)"
    multiply = OPERATORS["multiply"]
    assert rule_text(multiply, 0) == "lambda g, _ans, _x, y: g * y"
    assert rule_text(multiply, 1) == "lambda g, _ans, x, _y: g * x"


def test_text_of_strangers_stays_text():
    class Evil(nn.Module):
        def forward(self, x):
            return self.inner(x)

    evil = Evil()
    evil.inner = nn.Linear(2, 2)
    with mg.film() as steps:
        evil(mg.ones((1, 2))).sum().backward()
    page = str(steps.page({"</script><script>alert(1)</script>": evil.inner.weight}))
    assert page.count("<script") == 2
    assert "</script><script>alert" not in page


@pytest.fixture(scope="module")
def browser():
    with Browser() as one:
        yield one


@needs_browser
def test_the_page_plays(browser, tmp_path):
    steps, x, y = scalar_film()
    browser.errors.clear()
    steps.save(path := tmp_path / "steps.html", {"x": x})
    browser.go(path)
    title = "document.querySelector('#step h2').textContent"
    marked = "[...document.querySelectorAll('.box.now')].map((b) => b.textContent).join()"
    assert browser.run(title) == "multiply"
    assert "multiply" in browser.run(marked)
    titles = [step["title"] for step in data_of(path.read_text(encoding="utf-8"))["steps"]]
    for expected in titles[1:]:
        browser.click("document.getElementById('forth')")
        assert browser.run(title) == expected
    assert browser.run("document.getElementById('slider').value") == str(len(titles) - 1)
    assert browser.run("document.querySelector('#step td').textContent") == f"{y.grad.item():.8g}"
    browser.press("ArrowLeft")
    assert browser.run(title) == titles[-2]
    browser.press("Home")
    assert browser.run(title) == "multiply"
    browser.press("End")
    assert browser.run(title) == titles[-1]
    browser.run("playOrPause()")  # at the end, it begins again
    assert browser.run("timer !== null")
    assert browser.run(title) == "multiply"
    browser.click("document.getElementById('back')")  # and stops when one steps by hand
    assert browser.run("timer === null")
    assert not browser.errors
    assert all(url.startswith("file:") for url in browser.requests)


@needs_browser
def test_a_narrow_page_says_what_it_left_out_and_waits_for_the_output(browser, tmp_path):
    x = mg.tensor(2.0, requires_grad=True)
    with mg.film(steps=3) as steps:
        (x * x + x - 1.0).exp().backward()
    path = tmp_path / "steps.html"
    steps.save(path)
    size = {"width": 600, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    try:
        browser.go(path)
        assert "more steps were not recorded" in browser.run("document.body.innerText")
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")
    steps, *_ = scalar_film()
    steps.save(path)
    browser.go(path)
    waiting = "[...document.querySelectorAll('.box.todo')].map((b) => b.textContent).join()"
    assert "output" in browser.run(waiting)
    for _ in range(2):
        browser.press("ArrowRight")
    assert "output" not in browser.run(waiting)


@pytest.mark.slow
@needs_browser
def test_values_in_the_browser_are_those_in_python(browser, tmp_path):
    model = digits_model()
    mg.manual_seed(0)
    with mg.film() as steps:
        F.cross_entropy(model(mg.randn(4, 1, 8, 8)), np.arange(4)).backward()
    steps.save(path := tmp_path / "digits.html", dict(model.named_parameters()))
    browser.errors.clear()
    browser.go(path)
    last = next(
        i for i, step in enumerate(steps.to_records())
        if step["kind"] == "gradient" and step["parts"][0]["shape"] == "10"
    )  # fmt: skip
    browser.run(f"goTo({last})")
    cells = "[...document.querySelectorAll('#step td')].map((cell) => cell.textContent)"
    expected = [f"{value:.4g}" for value in model[9].bias.grad.numpy()]
    assert browser.run(cells) == expected
    assert browser.run("document.querySelectorAll('.box.now').length") == 1
    browser.run("goTo(0)")
    assert browser.run("document.querySelectorAll('#step canvas').length") >= 7
    assert browser.run("document.querySelectorAll('.box.todo').length") > 5
    browser.run("closed = new Set(data.groups.map((g, i) => n + i).slice(1)); draw()")
    assert browser.run("document.querySelectorAll('.box.now').length") == 1  # the closed module
    assert not browser.errors
