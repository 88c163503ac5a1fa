"""The table of PyTorch's and Keras's spellings says what is true."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import data, nn, optim, spellings
from minigrad.spellings import TABLE

ROWS = [row for rows in TABLE.values() for row in rows]


def names():
    """What the calls in the table are made with."""
    a = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
    square = mg.tensor(np.float32([[2.0, 1.0], [0.5, 3.0]]))
    model = nn.Sequential(nn.Linear(3, 2))
    x = mg.tensor(a, requires_grad=True)
    loss = (model(x) ** 2).sum()
    loss.backward(retain_graph=True)
    return {
        "np": np, "mg": mg, "F": F, "nn": nn, "optim": optim, "data": data, "torch": mg, "tf": mg,
        "a": a, "x": x, "y": mg.tensor(a[::-1] + 1), "w": mg.tensor(a.T.copy()), "square": square,
        "images": mg.tensor(np.arange(16.0).reshape(1, 1, 4, 4)), "mask": a > 0.5,
        "index": np.array([0, 1, 1]), "places": np.array([[2, 0], [1, 1]]), "model": model,
        "trainer": mg.Trainer(model), "callbacks": mg.callbacks, "loss": loss, "f": lambda x: (x * x).sum(axis=0),
    }  # fmt: skip


def arrays(value):
    if isinstance(value, (tuple, list)):
        return [one for part in value for one in arrays(part)]
    return [value.detach().numpy() if isinstance(value, mg.Tensor) else value]


#: Where x has to be a square matrix, or the parts are of another kind.
SPECIAL = {"x.inverse()": ("square.inverse()", "mg.inv(square)")}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("row", [r for r in ROWS if r.runs is not None], ids=lambda r: r.theirs)
def test_what_works_gives_what_the_other_column_gives(row):
    theirs, ours = SPECIAL.get(row.theirs, (row.theirs, row.ours))
    mg.manual_seed(0)
    found = eval(theirs, names())
    if row.theirs in BY_HAND:
        assert BY_HAND[row.theirs](found)
        return
    mg.manual_seed(0)
    *before, last = ours.split("; ")
    space = names()
    for line in before:
        exec(line, space)
    expected = eval(last, space)
    if isinstance(expected, nn.Module | mg.data.DataLoader | mg.data.ArrayDataset):
        assert type(found) is type(expected)
        return
    assert len(arrays(found)) == len(arrays(expected))
    for one, other in zip(arrays(found), arrays(expected), strict=True):
        if isinstance(other, (np.ndarray, float)) and not callable(other):
            np.testing.assert_array_equal(one, other)
            assert np.asarray(one).dtype == np.asarray(other).dtype
        else:
            assert one == other or type(one) is type(other)


#: Rows whose other column is no expression, or changes something.
BY_HAND = {
    "x.requires_grad_()": lambda x: x.requires_grad,
    "x.is_leaf": lambda leaf: leaf is True,
    "x.expand(4, -1, -1)": lambda x: x.shape == (4, 2, 3),
    "torch.inference_mode()": lambda block: type(block) is type(mg.no_grad()),
    "torch.randint(0, 10, (3,))": lambda x: (
        x.shape == (3,) and x.dtype == np.int64 and x.max() < 10
    ),
    "torch.randperm(5)": lambda x: sorted(x.tolist()) == [0, 1, 2, 3, 4],
    "torch.autograd.grad(loss, x)": lambda found: len(found) == 1 and found[0].shape == (2, 3),
    "torch.jacrev(f)": lambda function: function(np.ones((2, 3))).shape == (3, 2, 3),
    "torch.jacfwd(f)": lambda function: function(np.ones((2, 3))).shape == (3, 2, 3),
    "torch.func.jacrev(f)": lambda function: function(np.ones((2, 3))).shape == (3, 2, 3),
}


def words(text):
    return re.findall(r"[\w.]+", text)


@pytest.mark.parametrize("row", [r for r in ROWS if r.runs is None], ids=lambda r: r.theirs)
def test_what_does_not_work_says_what_to_write(row):
    with pytest.raises((AttributeError, TypeError, ValueError)) as refused:
        exec(row.theirs, names())
    said = str(refused.value)
    first = words(row.ours.replace("images.", "x."))[0]
    assert first in said, f"{said!r} does not name {row.ours!r}"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", sorted(spellings.METHODS))
def test_functions_are_methods_in_pytorch(name):
    ours = getattr(mg, spellings.METHODS[name])
    x = mg.tensor([[2.0, 1.0], [0.5, 3.0]])
    assert getattr(ours, "__wrapped__", ours)
    method = getattr(x, name)
    for args in ((), (x,), (2,), (0, 1)):
        try:
            expected = ours(x, *args)
        except (TypeError, ValueError, IndexError):
            continue
        for one, other in zip(arrays(method(*args)), arrays(expected), strict=True):
            np.testing.assert_array_equal(one, other)
        return
    # Those that take integers or booleans.
    more = () if name == "bitwise_not" else (mg.tensor([3, 2]),)
    expected = ours(mg.tensor([1, 2]), *more)
    np.testing.assert_array_equal(getattr(mg.tensor([1, 2]), name)(*more), expected)


def test_functional_call_takes_a_tuple_of_arguments():
    model = nn.Linear(2, 1)
    state = {"weight": mg.ones((1, 2)), "bias": mg.zeros(1)}
    for args in ((mg.tensor([[1.0, 2.0]]),), mg.tensor([[1.0, 2.0]])):
        assert mg.func.functional_call(model, state, args).tolist() == [[3.0]]


def test_autograd_grad():
    x, w = (mg.tensor(a, requires_grad=True) for a in ([1.0, 2.0], [3.0, 4.0]))
    (slope,) = mg.autograd.grad((x**3 * w).sum(), x, create_graph=True)
    second = mg.autograd.grad(
        [slope], [x, w], grad_outputs=[mg.tensor([1.0, 10.0])], retain_graph=True
    )
    assert [one.tolist() for one in second] == [[18.0, 480.0], [3.0, 120.0]]
    y = (x * w).sum()
    assert mg.autograd.grad(y, [w])[0].tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="used up"):
        mg.autograd.grad(y, w)
    assert x.grad is None


def test_gradients_flow_through_other_spellings():
    x = mg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    picked = (
        x.gather(1, np.array([[2, 0], [1, 1]])).sum() + x.clamp(1.0, 4.0).sum() + x.topk(1)[0].sum()
    )
    (
        picked + x.masked_fill(x > 3, 0.0).sum(dim=1, keepdim=True).sum() + x.view(-1).norm() ** 2
    ).backward()
    gathered = [[1, 0, 1], [0, 2, 0]]
    expected = np.array(gathered) + [[0, 1, 1], [1, 1, 0]] + np.array([[0, 0, 1], [0, 0, 1]])
    np.testing.assert_allclose(x.grad, expected + (x.numpy() <= 3) + 2 * x.numpy())


@pytest.mark.parametrize(
    ("call", "shapes"),
    [
        (lambda x: x.split(2, dim=1), [(2, 2), (2, 2), (2, 1)]), (lambda x: x.split([1, 4], 1), [(2, 1), (2, 4)]),
        (lambda x: x.chunk(2, dim=1), [(2, 3), (2, 2)]), (lambda x: x.chunk(4, 1), [(2, 2), (2, 2), (2, 1)]),
        (lambda x: x.chunk(9, 1), [(2, 1)] * 5), (lambda x: x.unbind(1), [(2,)] * 5), (lambda x: x.topk(3, dim=1), [(2, 3)] * 2),
        (lambda x: [x.gather(0, np.zeros((1, 3), int))], [(1, 3)]), (lambda x: [x.expand(3, -1, 5)], [(3, 2, 5)]),
        (lambda x: [x.expand((3, 2, 5))], [(3, 2, 5)]), (lambda x: [x.norm(dim=1, keepdim=True), x.norm(1)], [(2, 1), ()]),
        (lambda x: [x.flatten(), x.flatten(start_dim=0, end_dim=1), x.flatten("C"), x[None].flatten(1)], [(10,)] * 3 + [(1, 10)]),
        (lambda x: [x.to("cpu", np.float64), x.to(x)], [(2, 5)] * 2), (lambda x: [x.sub(x, alpha=2)], [(2, 5)]),
        (lambda x: [mg.norm(x, p=1, dim=1), x.amax(dim=1)], [(2,)] * 2), (lambda x: [x.new_zeros(2, 3), x.new_zeros((4,))], [(2, 3), (4,)]),
        (lambda x: [F.flatten(x, start_dim=0)], [(10,)]), (lambda x: [x.cumsum(dim=1), x.argmax(dim=0, keepdim=True)], [(2, 5), (1, 5)]),
        (lambda x: [mg.roll(x, shifts=1, dims=0), mg.flip(x, dims=(0,)), mg.swapaxes(x, dim0=0, dim1=1)], [(2, 5), (2, 5), (5, 2)]),
        (lambda x: [mg.exp(input=x), mg.add(x, other=x), mg.cat(tensors=[x, x], dim=1)], [(2, 5), (2, 5), (2, 10)]),
    ],
)  # fmt: skip
def test_shapes_of_what_pytorch_says_otherwise(call, shapes):
    found = call(mg.tensor(np.arange(10.0).reshape(2, 5)))
    assert [one.shape for one in found] == shapes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.max(dim=0), r"^max: .*x\.argmax"), (lambda x: mg.min(x, dim=0), r"^min: .*argmin"),
        (lambda x: mg.median(x, dim=0), "^median: .*axis"), (lambda x: mg.sort(x, dim=0), "^sort: .*argsort"),
        (lambda x: x.std(dim=0), "^std: .*ddof=1"), (lambda x: x.var(dim=0), "^var: .*ddof=1"),
        (lambda x: x.std(unbiased=True), "^std: .*ddof=1"), (lambda x: mg.norm(x, p=2), "^norm: .*ord="),
        (lambda x: x.sum(dim=0, axis=0), "sum: "), (lambda x: x.sum(wrong=0), "sum: unknown argument 'wrong'"),
        (lambda x: mg.zeros(2, device="cuda"), "zeros: .*device"), (lambda x: x.to("cuda:0"), r"no device 'cuda:0'.*CPU"),
        (lambda x: nn.Linear(3, 2).to("mps"), r"no device 'mps'.*CPU"), (lambda x: nn.Conv2d(1, 1, 3, padding_mode="reflect"), r"F\.pad"),
        (lambda x: optim.SGD(nn.Linear(1, 1).parameters(), learning_rate=0.1), "^SGD: .*lr="),
        (lambda x: nn.Linear(units=3), "^Linear: .*out_features"), (lambda x: mg.argsort(x, descending=True), "^argsort: .*flip"),
        (lambda x: x.transpose(0, 1, 2)[..., None].transpose(1, 2), r"transpose: .*swapaxes\(1, 2\)"),
        (lambda x: mg.transpose(x, 0, 1), r"transpose: .*swapaxes"), (lambda x: x.size(), r"size: .*x\.shape"),
        (lambda x: x.size(-1), r"x\.shape\[-1\]"), (lambda x: x.split(2, 0).wrong, "no attribute"),
        (lambda x: x.mul_(2), "no attribute 'mul_'; tensors are values"), (lambda x: x.nothing, "no attribute 'nothing'$"),
        (lambda x: mg.Dropout, r"no attribute 'Dropout'; use mg\.nn\.Dropout"), (lambda x: mg.nothing, "no attribute 'nothing'$"),
        (lambda x: mg.cross_entropy, r"use mg\.nn\.functional\.cross_entropy"), (lambda x: nn.nothing, r"'minigrad\.nn' has no attribute"),
        (lambda x: F.nothing, "no attribute 'nothing'"), (lambda x: mg.DataLoader, r"use mg\.data\.DataLoader"),
        (lambda x: nn.Linear(1, 1).nothing, "no attribute 'nothing'$"), (lambda x: nn.Sequential().nothing, "no attribute 'nothing'$"),
        (lambda x: nn.Sequential().fit(x), r"mg\.Trainer"), (lambda x: nn.ReLu, r"'ReLu'; use nn\.ReLU"),
        (lambda x: nn.Conv1D, r"use nn\.Conv1d"), (lambda x: mg.newaxis, r"use np\.newaxis"),
        (lambda x: mg.vmap, "'vmap'; write the batch"), (lambda x: mg.norm(x, p=2, dim=(0, 1)), "^norm: .*ord="),
    ],
)  # fmt: skip
def test_what_means_another_thing_is_refused_in_words(call, message):
    with pytest.raises((TypeError, ValueError, AttributeError), match=message):
        call(mg.tensor(np.ones((2, 3, 4))))


def test_a_misspelt_name_is_still_suggested():
    for owner, name in (
        (mg.ones(2), "reshap"),
        (mg, "concatenat"),
        (nn, "Linea"),
        (nn.Linear(1, 1), "parameter"),
    ):
        with pytest.raises(AttributeError) as refused:
            getattr(owner, name)
        assert refused.value.name == name
        assert refused.value.obj is owner


def test_the_first_lines_of_a_script():
    torch = mg
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = nn.Sequential(
        nn.Linear(3, 4, device=device), nn.ReLU(inplace=True), nn.Linear(4, 2)
    ).to(device)
    loader = data.DataLoader(
        data.TensorDataset(np.ones((4, 3), np.float32), np.zeros(4, int)),
        batch_size=2,
        pin_memory=True,
    )
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    before = model(mg.ones((1, 3))).clone()
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert not np.allclose(model(mg.ones((1, 3))), before)


def test_the_tables_in_the_docs_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "tools"))
    document_spellings = importlib.import_module("document_spellings")
    for path in document_spellings.PAGES:
        text = path.read_text(encoding="utf-8")
        assert document_spellings.written(path) == text, "run python tools/document_spellings.py"
        assert text.count("| works as it stands |")


def test_completion_shows_no_other_spellings():
    for space, name in ((mg, "cat"), (nn, "Dense"), (data, "TensorDataset"), (mg.ones(1), "clone")):
        assert name not in dir(space)


def test_sizes_are_numbers():
    size = mg.ones((2, 3)).size
    assert size == 6
    assert isinstance(size, int)
    assert f"{size} {size!r}" == "6 6"
    assert type(size + 1) is int
    assert np.zeros(size).shape == (6,)
