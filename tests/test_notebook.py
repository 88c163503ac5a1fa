"""What a notebook shows of each object, and the notebook in examples/, executed from top to bottom."""

import html
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, viz

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_steps.ipynb"


def cells(text):
    """The cells of an HTML table, row by row."""
    rows = re.findall("<tr>(.*?)</tr>", text)
    return [
        [html.unescape(c) for c in re.findall("<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows
    ]


def test_a_matrix_is_a_table():
    x = mg.tensor(np.array([[1.0, -2.5], [np.nan, 1e-9], [np.inf, 12345.678]]))
    text = x._repr_html_()
    assert cells(text) == [
        ["", "0", "1"], ["0", "1", "-2.5"], ["1", "nan", "1e-09"], ["2", "inf", "1.235e+04"],
    ]  # fmt: skip
    assert "Tensor (3, 2), float64</p>" in text
    parameter = nn.Parameter(np.zeros((1, 1), np.float32))
    assert "Parameter (1, 1), float32, requires_grad=True" in parameter._repr_html_()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "True"),
        (np.uint8(3), "3"),
        (np.int64(-(10**15)), "-1000000000000000"),
        (1 / 3 - 2j, "0.3333-2j"),
        (np.float16(0.1), "0.09998"),
    ],
)
def test_numbers_of_a_matrix(value, expected):
    assert cells(mg.tensor(np.array([[value]]))._repr_html_())[1] == ["0", expected]


def test_the_middle_of_a_large_matrix_is_left_out():
    x = mg.tensor(np.arange(10**6).reshape(1000, 1000))
    table = cells(x._repr_html_())
    assert len(table) == 14
    assert {len(row) for row in table} == {14}
    assert table[0][6:9] == ["5", "…", "994"]
    assert [row[0] for row in table[6:9]] == ["5", "⋮", "994"]
    assert table[-1][-1] == "999999"
    assert cells(mg.zeros((12, 13))._repr_html_())[12][0] == "11"
    assert len(cells(mg.zeros((0, 3))._repr_html_())) == 1


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2)])
def test_other_shapes_are_text(shape):
    assert mg.ones(shape)._repr_html_() is None


def test_a_history_is_a_table():
    history = mg.History()
    for epoch in range(3):
        history.on_epoch_end(epoch, {"loss": 1.0 / (epoch + 1)})
    history.on_epoch_end(3, {"loss": 0.25, "val_<b>": 0.5})
    assert cells(history._repr_html_()) == [
        ["epoch", "loss", "val_<b>"],
        ["1", "1", ""], ["2", "0.5", ""], ["3", "0.3333", ""], ["4", "0.25", "0.5"],
    ]  # fmt: skip
    text = history._repr_html_()
    assert (text.count("text-align:right"), text.count("text-align:left")) == (15, 0)
    for epoch in range(4, 100):
        if epoch == 20:  # as many rows as there are at most, and one more
            assert [row[0] for row in cells(history._repr_html_())[1:]] == [
                str(i + 1) for i in range(20)
            ]
        if epoch == 21:
            assert cells(history._repr_html_())[11] == ["⋮", "1 more epochs; .history has them all"]
        history.on_epoch_end(epoch, {"loss": 0.1, "val_<b>": 0.5})
    table = cells(history._repr_html_())
    assert table[10][0] == "10"
    assert table[11] == ["⋮", "80 more epochs; .history has them all"]
    assert table[12][0] == "91"
    assert cells(mg.History()._repr_html_()) == [["epoch"]]
    mixed = mg.History()
    mixed.load_state_dict({"loss": [1.0], "matrix": [np.eye(2)], "nothing": []})
    assert cells(mixed._repr_html_()) == [["epoch", "loss"], ["1", "1"]]
    assert repr(mixed) == "<History of 1 epochs: loss=1>"


def test_a_figure_shows_itself():
    pytest.importorskip("matplotlib")
    figure = viz.learning_curves({"loss": [1.0, 0.5]})
    assert figure._repr_png_().startswith(b"\x89PNG")
    again = pickle.loads(pickle.dumps(figure))
    assert again._repr_png_().startswith(b"\x89PNG")
    again.suptitle("again")
    assert again._repr_png_() != figure._repr_png_()


def test_the_page_stands_in_a_frame(tmp_path):
    x = mg.tensor(2.0, requires_grad=True)
    picture = mg.make_dot(x * x)
    frame = picture.page(height=321)._repr_html_()
    page = re.fullmatch('<iframe srcdoc="([^"]*)" height="321" style="[^"]*"></iframe>', frame)
    assert html.unescape(page[1]) == picture.html == str(picture.page())
    assert ".save(" in repr(picture.page())
    written = picture.page().save(tmp_path / "graph.html")
    assert Path(written).read_text(encoding="utf-8") == picture.html
    with pytest.raises(ValueError, match=r"page\.save: the suffix must be \.html"):
        picture.page().save(tmp_path / "graph.svg")
    for wrong in (0, -1, "tall", None, np.nan):
        with pytest.raises((TypeError, ValueError), match="height"):
            picture.page(height=wrong)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in code)  # what it shows is made, not kept
    nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [
        kind for cell in code for out in cell.outputs for kind in out.get("data", {})
        if kind != "text/plain"
    ]  # fmt: skip
    # Two matrices, the tape, the page, the layers and the history.
    assert shown.count("text/html") == 6
    assert shown.count("image/svg+xml") == 1
    assert shown.count("image/png") == 3
