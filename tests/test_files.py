"""Files of tensors: what is kept, what is refused, what damage and crashes do."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.io.checkpoints import latest
from minigrad.io.tensors import DTYPES

#: What reading a damaged file of a few kilobytes may take at most, in bytes.
SOME_MEMORY = 4_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def arrays():
    """One array for everything that is easily got wrong."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((4, 6)).astype(np.float32)
    return {
        "plain": base,
        "transposed": base.T,
        "fortran": np.asfortranarray(base),
        "strided": base[::2, ::-3],
        "broadcast": np.broadcast_to(np.float32(2.0), (3, 2)),
        "scalar": np.float32(7.0),
        "0-d": np.array(3.5),
        "empty": np.zeros((0, 3), np.float32),
        "big-endian": base.astype(">f4"),
        "": np.ones(1),
        "a name with spaces, \"quotes\" and é.weight": np.arange(3),
        **{dtype: np.array([[0, 1], [1, 0]]).astype(dtype) for dtype in DTYPES},
        "special": np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
    }  # fmt: skip


def same_bits(x, y):
    x, y = np.asarray(x), np.asarray(y)
    native = x.astype(x.dtype.newbyteorder("="))
    assert y.dtype == native.dtype
    assert y.shape == x.shape
    assert y.tobytes() == native.tobytes()


# -- what is kept ----------------------------------------------------------------------------------


def test_every_array_comes_back_bit_for_bit(path):
    given = arrays()
    mg.save({name: mg.tensor(a) for name, a in given.items()}, path)
    found = mg.load(path)
    assert set(found) == set(given)
    for name, a in given.items():
        assert isinstance(found[name], mg.Tensor)
        same_bits(a, found[name].numpy())
    mg.save(given, path)  # ndarrays too
    for name, tensor in mg.load(path).items():
        same_bits(given[name], tensor.numpy())


def test_an_empty_dict_and_metadata(path):
    mg.save({}, path)
    assert mg.load(path) == {}
    assert mg.load_metadata(path) == {}
    mg.save({"x": mg.ones(2)}, str(path), metadata={"author": "Ä", "epoch": "3"})
    assert mg.load_metadata(path) == {"author": "Ä", "epoch": "3"}
    assert mg.load(path)["x"].tolist() == [1.0, 1.0]


def test_a_parameter_a_result_and_a_shared_tensor_are_saved_by_value(path):
    w = nn.Parameter([1.0, 2.0])
    mg.save({"w": w, "again": w, "double": w * 2}, path)
    found = mg.load(path)
    assert not any(t.requires_grad for t in found.values())
    assert [found[k].tolist() for k in ("w", "again", "double")] == [[1, 2], [1, 2], [2, 4]]
    w.assign([5.0, 6.0])
    assert found["w"].tolist() == [1.0, 2.0]


def test_a_model_takes_up_its_weights(path):
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    mg.save(first.state_dict(), path)
    second.load_state_dict(mg.load(path))
    x = mg.ones((1, 3))
    assert second(x).tolist() == first(x).tolist()


@pytest.mark.parity
def test_pytorch_reads_our_files(path):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    given = {k: a for k, a in arrays().items() if k not in ("uint16", "uint32", "uint64")}
    mg.save(given, path)
    found = library.load_file(path)
    for name, a in given.items():
        same_bits(a, found[name].numpy())
    assert isinstance(found["plain"], torch.Tensor)


@pytest.mark.parity
def test_we_read_the_files_of_pytorch(path):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    layer = torch.nn.Linear(4, 3)
    given = {
        **layer.state_dict(),
        "half": torch.ones(3, dtype=torch.float16),
        "bool": torch.tensor([True, False]),
        "count": torch.tensor(5),
        "brain": torch.tensor([1.0, -2.5, 3.140625, float("inf")], dtype=torch.bfloat16),
    }
    library.save_file(given, path, metadata={"format": "pt"})
    found = mg.load(path)
    assert mg.load_metadata(path) == {"format": "pt"}
    for name, tensor in given.items():
        expected = tensor.detach().float() if name == "brain" else tensor.detach()
        same_bits(expected.numpy(), found[name].numpy())
    ours = nn.Linear(4, 3)
    ours.load_state_dict({k: found[k] for k in ("weight", "bias")})
    np.testing.assert_allclose(
        ours(mg.ones((2, 4))).numpy(), layer(torch.ones(2, 4)).detach().numpy(), 1e-6
    )


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: mg.save([mg.ones(2)], p), TypeError, "a dict of names to tensors, got list"),
        (lambda p: mg.save(mg.ones(2), p), TypeError, r"\{'x': tensor\}"),
        (lambda p: mg.save(nn.Linear(2, 2), p), TypeError, r"model.state_dict\(\).*save_model"),
        (lambda p: mg.save({1: mg.ones(2)}, p), TypeError, "names are strings, got 1"),
        (lambda p: mg.save({"x": 1.5}, p), TypeError, "'x' is float.*save_checkpoint"),
        (lambda p: mg.save({"x": {"y": mg.ones(2)}}, p), TypeError, "'x' is dict.*save_checkpoint"),
        (lambda p: mg.save({"x": np.array(["a"])}, p), TypeError, "'x' has dtype <U1.*float32"),
        (lambda p: mg.save({"x": np.array([1j])}, p), TypeError, "'x' has dtype complex128"),
        (lambda p: mg.save({"__metadata__": mg.ones(2)}, p), ValueError, "reserved by the format"),
        (lambda p: mg.save({}, p, metadata={"epoch": 3}), TypeError, "strings to strings.*json"),
        (lambda p: mg.save({}, p.with_suffix(".npz")), ValueError, ".npz names another format.*weights.safetensors"),
        (lambda p: mg.save({}, p.with_suffix(".pt")), ValueError, ".pt names another format"),
        (lambda p: mg.save({}, p.parent), IsADirectoryError, "is a folder; add a file name"),
        (lambda p: mg.save({}, p.parent / "no" / "x"), FileNotFoundError, r"no folder .*mkdir\(parents=True\)"),
        (lambda p: mg.save({}, 3), TypeError, "path must be a file name, got 3"),
        (lambda p: mg.save({}, ""), TypeError, "path must be a file name"),
        (lambda p: mg.load(p), FileNotFoundError, "there is no file .*weights.safetensors; nothing was saved"),
        (lambda p: mg.load(p.parent / "no" / "x"), FileNotFoundError, "there is no folder"),
        (lambda p: mg.load(p.parent), IsADirectoryError, "is a folder, expected a file"),
        (lambda p: mg.load(None), TypeError, "path must be a file name"),
        (lambda p: mg.load_checkpoint(p), FileNotFoundError, "load_checkpoint: there is no file"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(path, call, error, message):
    with pytest.raises(error, match=message):
        call(path)
    assert list(path.parent.iterdir()) == []


def test_a_missing_file_is_told_what_is_there(path):
    mg.save({}, path)
    with pytest.raises(FileNotFoundError, match=r"the folder holds weights\.safetensors"):
        mg.load(path.with_name("weigths.safetensors"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"\(0 bytes, empty\): .*header"),
        (bytes(7), r"\(7 bytes\): .*header"),
        (bytes(8), r"\(8 bytes\): .*header"),
        ((3).to_bytes(8, "little") + b"{}", r"\(10 bytes\): .*header"),
        (b"PK\x03\x04" + bytes(100), "looks like a zip archive, as .npz"),
        (b"\x93NUMPY" + bytes(100), "an .npy file"),
        (b"\x89HDF\r\n" + bytes(100), "HDF5"),
        (b"\x80\x04\x95" + bytes(100), "a pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ((2**62).to_bytes(8, "little") + bytes(100), r"damaged .*\(108 bytes\): .*header"),
        ((50).to_bytes(8, "little") + bytes(20), "damaged"),
        ((4).to_bytes(8, "little") + b"[[]]", "damaged"),
    ],
)
def test_foreign_files_are_named(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        mg.load(path)


def test_an_npz_file_is_read_by_numpy(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, x=np.ones(2))
    with pytest.raises(
        ValueError, match=r"t\.npz is an \.npz file of NumPy: read it with np\.load\("
    ):
        mg.load(path)
    mg.save(dict(np.load(path)), tmp_path / "name.safetensors")  # as the message says
    assert mg.load(tmp_path / "name.safetensors")["x"].tolist() == [1, 1]


def test_a_dtype_that_numpy_lacks_is_named(path):
    header = b'{"x":{"dtype":"F8_E5M2","shape":[2],"data_offsets":[0,2]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(ValueError, match="'x' has dtype F8_E5M2, which NumPy does not have"):
        mg.load(path)


# -- damage ----------------------------------------------------------------------------------------


W, OTHER = (f'{{"dtype":"{kind}","shape":[2],"data_offsets":[0,8]}}' for kind in ("F32", "I32"))


@pytest.mark.parametrize("read", [mg.load, mg.load_metadata, mg.load_model, mg.load_checkpoint])
@pytest.mark.parametrize(
    ("header", "name"),
    [
        (f'{{"w":{W},"w":{OTHER}}}', "w"),
        (f'{{"w":{W},"\\u0077":{W}}}', "w"),
        (f'{{"w":{W},"__metadata__":{{"structure":"1","structure":"2"}}}}', "structure"),
        (f'{{"w":{W},"__metadata__":{{"a":"1","\\u0061":"1"}}}}', "a"),
    ],
)
def test_a_name_that_occurs_twice_in_a_header_is_refused(path, read, header, name):
    content = bytes(16)
    path.write_bytes(with_header(f'{{"w":{W}}}', content))
    assert list(mg.load(path)) == ["w"]
    path.write_bytes(with_header(header, content))
    expected = f"{read.__name__}: {path} is damaged: a name occurs twice: '{name}'"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        read(path)


@pytest.mark.parametrize(
    ("good", "wrong", "message"),
    [
        (
            '"F32"',
            '"Fv2"',
            "'w' has dtype Fv2, which NumPy does not have; convert it to F32 before",
        ),
        ("[2]", "[3]", r"'w' has 8 bytes, its shape \(3,\) of F32 needs 12; .* copy it again"),
        ("[2]", f"[0{',2' * 70}]", "is damaged or not a safetensors file"),
        ('"F32"', '["F32"]', "is damaged or not a safetensors file"),
        ('"F32","shape":[2]', '"Fv2","shape":[2', "is damaged or not a safetensors file"),
    ],
)
def test_the_array_of_which_the_header_is_damaged_is_named(path, good, wrong, message):
    first = '{"v":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
    path.write_bytes(with_header(f'{first}"w":{W.replace(good, wrong)}}}', bytes(16)))
    with pytest.raises(ValueError, match=f"^load: .*{message}"):
        mg.load(path)


#: Numbers that would take all memory, all time, or are not whole.
ABSURD = [0, -1, 10**5, 2**31 - 1, 2**31, 2**63 - 1, 2**64, 10**30, 1.5, 1e300]


def damage(kind, content, rng):
    """A damaged copy of a file's bytes."""
    n = len(content)
    header = int.from_bytes(content[:8], "little")
    text = content[8 : 8 + header].decode()
    if kind == "numbers absurd":
        numbers = list(re.finditer(r"(?<![\w.])\d+", text))
        for found in sorted(rng.choice(len(numbers), rng.integers(1, 3)), reverse=True):
            begin, end = numbers[found].span()
            text = f"{text[:begin]}{ABSURD[rng.integers(len(ABSURD))]!r}{text[end:]}"
        return with_header(text, content)
    if kind == "parts swapped":
        parts = list(re.finditer(r"\[[\d, ]*\]|(?<=\")\w+(?=\\?\")", text))
        one, other = sorted(rng.choice(len(parts), 2, replace=False))
        (a, b), (c, d) = parts[one].span(), parts[other].span()
        return with_header(text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:], content)
    if kind == "parts doubled":
        parts = list(re.finditer(r"\[[^\[\]]*\]|\\?\"[\w.]+\\?\": ?[^,{}]+", text))
        a, b = parts[rng.integers(len(parts))].span()
        return with_header(f"{text[:b]},{text[a:b]}{text[b:]}", content)
    if kind == "deeply nested":
        parts = list(re.finditer(r"\[[^\[\]]*\]", text))
        a, b = parts[rng.integers(len(parts))].span()
        depth = int(rng.choice([10, 100, 1000, 100_000]))
        return with_header(f"{text[:a]}{'[' * depth}{text[a:b]}{']' * depth}{text[b:]}", content)
    if kind == "truncated":
        return content[: rng.integers(0, n)]
    if kind == "extended":
        return content + rng.bytes(rng.integers(1, 50))
    if kind == "random":
        return rng.bytes(rng.integers(0, 400))
    if kind == "oversized header":
        return int(rng.integers(header + 1, 2**63)).to_bytes(8, "little") + content[8:]
    if kind == "undersized header":
        return int(rng.integers(0, header)).to_bytes(8, "little") + content[8:]
    damaged = bytearray(content)
    if kind == "bits flipped":
        for i in rng.integers(0, n, rng.integers(1, 5)):
            damaged[i] ^= 1 << rng.integers(0, 8)
    if kind == "header scrambled":
        for i in rng.integers(8, 8 + header, 3):
            damaged[i] = rng.integers(0, 256)
    if kind == "digits changed":
        digits = [i for i in range(8, 8 + header) if chr(content[i]).isdigit()]
        for i in rng.choice(digits, 3):
            damaged[i] = ord("0") + rng.integers(0, 10)
    return bytes(damaged)


def with_header(text, content):
    header = text.encode()
    start = 8 + int.from_bytes(content[:8], "little")
    return len(header).to_bytes(8, "little") + header + content[start:]


DAMAGES = [
    *("truncated", "extended", "random", "oversized header", "undersized header"),
    *("bits flipped", "header scrambled", "digits changed"),
    *("numbers absurd", "parts swapped", "parts doubled", "deeply nested"),
]


@functools.cache
def warm_up():
    """What is imported and compiled at the first use is not what a file takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.safetensors"
        mg.save_model(nn.Sequential(nn.Linear(1, 1)), path)
        mg.load_model(path)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ValueError, match="small"):
            mg.load_model(path)


def refusal(read, path):
    """What reading says of a damaged file; None where it reads it. Anything but ValueError fails.

    It takes little memory. Other threads of the test runner may take some at the same moment; what
    the file takes, it takes every time, so the least of three readings counts.
    """
    warm_up()
    most = SOME_MEMORY + 20 * min(path.stat().st_size, 2**20)
    for _ in range(3):
        said, peak = reading(read, path)
        if peak < most:
            return said
    pytest.fail(f"reading took {peak} bytes, at most {most} were expected")


def reading(read, path):
    """What reading says of a file that it refuses, and the memory that it takes at most."""
    tracemalloc.start()
    said = None
    try:
        read(path)
    except ValueError as error:
        said = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return said, peak


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_files_are_refused_or_read_but_never_crash(path, kind):
    mg.save({"a.weight": mg.ones((3, 2)), "a.bias": mg.zeros(3), "n": mg.tensor(5)}, path)
    content = path.read_bytes()
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    w.grad = mg.ones(2)
    optimizer = optim.Adam([w])
    optimizer.step()
    mg.save_checkpoint(path, optimizer=optimizer, epoch=3, note="é", data=(1.5, b"x", None))
    checkpoint = path.read_bytes()
    rng = np.random.default_rng(sum(map(ord, kind)))
    told = []
    for _ in range(100):
        for original, read in (
            (content, mg.load),
            (content, mg.load_metadata),
            (checkpoint, mg.load_checkpoint),
        ):
            path.write_bytes(damage(kind, original, rng))
            told.append(refusal(read, path))
    refused = [message for message in told if message is not None]
    assert all(str(path) in message for message in refused)  # each says which file
    often = kind not in ("bits flipped", "digits changed", "parts swapped", "deeply nested")
    assert len(refused) > (240 if often else 30)


#: A header, and whether it is refused, or only its arrays; they have 8 bytes of zeros.
HEADERS = {
    '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}': False,
    '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}      ': False,
    '{"x":{"dtype":"F32","shape":[0,9],"data_offsets":[0,0]},"y":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}': False,
    '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}': True,
    '{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}': True,
    '{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}': True,
    '{"x":{"dtype":"F32","shape":[-2],"data_offsets":[8,0]}}': True,
    '{"x":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F64","shape":[-1,-1],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F32","shape":[true,2],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}': True,
    '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}}': False,
    '{"x":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}': True,
    '{"x":[],"__metadata__":{}}': True,
    '{"\\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"a":1}}': True,
    '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":3}': True,
    '{"x":{"dtype":"F32","shape":[2%s],"data_offsets":[0,8]}}' % (",1" * 63): False,
    '{"x":{"dtype":"F32","shape":[2%s],"data_offsets":[0,8]}}' % (",1" * 64): "arrays",
    '{"x":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]},"y":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}': "arrays",
    '{"x":{"dtype":"F32","shape":[0,1180591620717411303424],"data_offsets":[0,0]},"y":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}': True,
    '{"x":{"dtype":"U8","shape":[0,9223372036854775807],"data_offsets":[0,0]},"y":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}': False,
    "[]": True,
    " {}": True,
    '{"x":' * 50_000: True,
}  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_headers_are_believed_only_when_all_of_them_fits(path, header):
    text = header.encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    assert (refusal(mg.load, path) is not None) == bool(HEADERS[header])
    assert (refusal(mg.load_metadata, path) is not None) == (HEADERS[header] is True)


def test_bfloat16_is_the_upper_half_of_float32(path):
    numbers = np.array([1.0, -2.5, 0.15625, 3.0e38, -np.inf], np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = b'{"x":{"dtype":"BF16","shape":[5],"data_offsets":[0,10]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + halves)
    found = mg.load(path)["x"].numpy()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, (numbers.view(np.uint32) >> 16 << 16).view(np.float32))


def test_bools_of_other_bytes_than_0_and_1_are_true(path):
    mg.save({"x": mg.tensor([True, False])}, path)
    path.write_bytes(path.read_bytes()[:-2] + b"\x03\x00")
    assert (mg.load(path)["x"].numpy().view(np.uint8) == [1, 0]).all()


def sparse(path, content, size):
    """Write a file that is mostly a hole; skips where that would take the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.truncate(size)
    if getattr(path.stat(), "st_blocks", size) * 512 > 2**20:
        pytest.skip("this file system keeps no holes")


@pytest.mark.parametrize("whole", [False, True])
def test_only_the_header_of_a_file_of_3_gigabytes_is_read(path, whole):
    size = 3 * 2**30
    metadata = '"__metadata__":{"note":"large"}'
    header = b'{%b,"x":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'
    length = 120
    count = size - 8 - length - (0 if whole else 1)
    text = (header % (metadata.encode(), count, count)).ljust(length)
    sparse(path, length.to_bytes(8, "little") + text, size)
    tracemalloc.start()
    try:
        if whole:
            assert mg.load_metadata(path) == {"note": "large"}
            reads = (mg.load_checkpoint, mg.load_model)
        else:
            reads = (mg.load, mg.load_metadata, mg.load_checkpoint, mg.load_model)
        for read in reads:
            with pytest.raises(ValueError, match=r"weights\.safetensors is"):
                read(path)
        assert tracemalloc.get_traced_memory()[1] < SOME_MEMORY
    finally:
        tracemalloc.stop()


def test_a_hole_without_a_header_is_refused_unread(path):
    for content in (b"", (90_000_000).to_bytes(8, "little"), b"PK\x03\x04"):
        sparse(path, content, 3 * 2**30)
        assert "damaged" in refusal(mg.load, path)
        assert "damaged" in refusal(mg.load_metadata, path)


# -- crashes ---------------------------------------------------------------------------------------


def test_a_failed_save_leaves_the_old_file_and_no_litter(path, monkeypatch):
    mg.save({"x": mg.ones(3)}, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(OSError, match="No space left"):
                mg.save({"x": mg.zeros(3)}, path)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]
    with pytest.raises(TypeError):
        mg.save({"x": mg.zeros(3), "y": "text"}, path)
    assert path.read_bytes() == before


def test_a_link_stays_a_link_and_the_mode_of_the_file_stays(path):
    real = path.with_name("real.safetensors")
    mg.save({"x": mg.ones(1)}, real)
    real.chmod(0o640)
    path.symlink_to(real)
    mg.save({"x": mg.zeros(1)}, path)
    assert path.is_symlink()
    assert mg.load(real)["x"].tolist() == [0.0]
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name != "posix", reason="kills a process by signal")
def test_a_process_killed_while_saving_leaves_a_whole_file(path):
    """Killed after k writing system calls, for every k that a save makes."""
    program = textwrap.dedent(
        """
        import os, signal, sys
        import numpy as np
        import minigrad as mg

        path, last = sys.argv[1], int(sys.argv[2])
        count = 0

        def watch(event, arguments):
            global count
            if event.startswith(("open", "os.")):
                count += 1
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)

        mg.save({"x": np.full(50_000, 1.0)}, path)  # everything is imported now
        sys.addaudithook(watch)
        mg.save({"x": np.full(50_000, 2.0)}, path)
        """
    )
    found = set()
    for last in range(1, 50):
        done = subprocess.run(
            [sys.executable, "-c", program, str(path), str(last)],
            env={**os.environ, "PYTHONPATH": str(Path(mg.__file__).parents[1])},
            check=False,
            capture_output=True,
            text=True,
        )
        x = mg.load(path)["x"].numpy()
        assert x.shape == (50_000,)
        assert (x == x[0]).all()
        found.add(float(x[0]))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    else:
        pytest.fail("the save never came to its end")
    assert last > 3  # it was killed at several places
    assert found == {1.0, 2.0}  # before the rename, and after it
    assert list(path.parent.iterdir()) == [path]  # what the killed ones left is gone


@pytest.mark.skipif(os.name != "posix", reason="kills a process by signal")
def test_a_process_killed_at_any_moment_leaves_a_whole_file(path):
    program = textwrap.dedent(
        """
        import sys
        import numpy as np
        import minigrad as mg

        for n in range(1_000_000):
            mg.save({"x": np.full(20_000, n)}, sys.argv[1])
            print(n, flush=True)
        """
    )
    for rounds in range(1, 6):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            env={**os.environ, "PYTHONPATH": str(Path(mg.__file__).parents[1])},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            for _ in range(3 * rounds):
                line = process.stdout.readline()
            process.kill()
        x = mg.load(path)["x"].numpy()
        assert x.shape == (20_000,)
        assert (x == x[0]).all()
        assert x[0] >= int(line)
    mg.save({}, path)
    assert list(path.parent.iterdir()) == [path]


# -- nested state ----------------------------------------------------------------------------------


def test_nested_state_comes_back_bit_for_bit(path):
    rng = np.random.default_rng(7)
    rng.random(3)
    legacy = np.random.Generator(np.random.MT19937(1))
    state = {
        "numbers": [0, -1, 2**200, 0.1, 1e-320, -0.0, float("inf"), float("-inf")],
        "text": ["", "é\n\"quoted\"", "\x00"],
        "flags": {"yes": True, "no": False, "none": None},
        "nested": ({1: "int key", "1": "str key"}, [(), [], {}], (1, (2, (3,)))),
        "arrays": {name: a for name, a in arrays().items() if name != "big-endian"},
        "tensors": [mg.ones((2, 3)), mg.tensor(5), nn.Parameter([1.0])],
        "numpy": [np.float32(1.5), np.int8(-3), np.bool_(True)],
        "bytes": b"\x00\xff",
        "generators": [rng.bit_generator.state, legacy.bit_generator.state],
    }  # fmt: skip
    mg.save_checkpoint(path, **state)
    same(mg.load_checkpoint(path), state)
    again = np.random.default_rng()
    again.bit_generator.state = mg.load_checkpoint(path)["generators"][0]
    assert again.random() == rng.random()


def same(found, expected):
    if isinstance(expected, mg.Tensor):
        assert isinstance(found, mg.Tensor)
        same_bits(expected.numpy(), found.numpy())
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert type(found) is type(expected)
        same_bits(expected, found)
    elif isinstance(expected, dict):
        assert type(found) is dict
        assert list(found) == list(expected)
        for key, value in expected.items():
            same(found[key], value)
    elif isinstance(expected, (list, tuple)):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for x, y in zip(found, expected, strict=True):
            same(x, y)
    else:
        assert type(found) is type(expected)
        assert repr(found) == repr(expected)


def test_the_format_stays_as_it_is(path):
    """What is written today must be read by every version of the library: text, word for word."""
    state = {
        "numbers": [1, 0.5, float("inf"), float("-inf"), float("nan"), True, None, "text"],
        "parts": ({"a": np.float32(2.0), 3: b"\x0f"}, mg.ones(1), np.zeros(1)),
        "parts.1": mg.ones(2),
        "parts.1 (2)": mg.ones(3),
    }
    mg.save_checkpoint(path, **state)
    numbers = [1, 0.5, ["float", "inf"], ["float", "-inf"], ["float", "nan"], True, None, "text"]
    first = ["dict", [["a", ["scalar", "parts.0.a"]], [3, ["bytes", "0f"]]]]
    parts = ["tuple", [first, ["tensor", "parts.1"], ["array", "parts.2"]]]
    rest = [[name, ["tensor", f"{name} (2)"]] for name in ("parts.1", "parts.1 (2)")]
    expected = ["dict", [["numbers", ["list", numbers]], ["parts", parts], *rest]]
    expected[1][3][1][1] = "parts.1 (2) (2)"
    assert latest() == str(path)
    metadata = mg.load_metadata(path)
    assert json.loads(metadata.pop("tree")) == expected
    assert metadata == {"minigrad.kind": "checkpoint", "version": "1"}
    assert mg.load(path)["parts.1 (2)"].shape == (2,)


def test_nan_comes_back(path):
    mg.save_checkpoint(path, x=float("nan"))
    assert np.isnan(mg.load_checkpoint(path)["x"])


def test_names_with_dots_do_not_collide(path):
    mg.save_checkpoint(path, **{"a.b": mg.ones(1), "a": {"b": mg.zeros(1)}, "a.b (2)": mg.ones(2)})
    found = mg.load_checkpoint(path)
    assert found["a.b"].tolist() == [1.0]
    assert found["a"]["b"].tolist() == [0.0]
    assert found["a.b (2)"].tolist() == [1.0, 1.0]


def test_what_has_a_state_dict_is_asked_for_it_and_generators_for_their_state(path):
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    rng = np.random.default_rng(3)
    mg.save_checkpoint(path, model=model, optimizer=optimizer, rng=rng)
    found = mg.load_checkpoint(path)
    assert found["optimizer"] == optimizer.state_dict()
    assert found["rng"] == rng.bit_generator.state
    assert list(found["model"]) == ["weight", "bias"]
    assert "model.weight" in mg.load(path)  # other programs find the weights by name


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": [1, {"b": {1, 2}}]}, "a.1.b is set"),
        ({"a": {1.5: 2}}, "keys are strings or integers, got 1.5 in a"),
        ({"f": abs}, "f is builtin_function_or_method"),
        ({"x": np.array(["text"])}, "'x' has dtype"),
    ],
)
def test_values_that_cannot_be_kept_are_named_by_their_place(path, state, message):
    with pytest.raises(TypeError, match=message):
        mg.save_checkpoint(path, **state)
    assert not path.exists()


def test_state_that_holds_itself_is_refused(path):
    state = {}
    state["again"] = state
    with pytest.raises(ValueError, match=r"save_checkpoint: .*itself"):
        mg.save_checkpoint(path, state=state)
    assert not path.exists()


def test_another_kind_or_version_of_file_is_named(path):
    mg.save({"x": mg.ones(1)}, path)
    with pytest.raises(ValueError, match=r"not a checkpoint, but a file of tensors: use mg\.load"):
        mg.load_checkpoint(path)
    mg.save_checkpoint(path, x=1)
    metadata = {**mg.load_metadata(path), "version": "99"}
    mg.save({}, path, metadata=metadata)
    with pytest.raises(ValueError, match="format version '99', this minigrad reads '1'"):
        mg.load_checkpoint(path)


def test_a_checkpoint_whose_tree_is_damaged_is_refused(path):
    mg.save_checkpoint(path, x=mg.ones(2), y=[1.5])
    metadata = mg.load_metadata(path)
    tree = json.loads(metadata["tree"])
    bad = [None, 3, [], ["dict"], ["dict", 3], ["dict", [[1]]], ["novel", 3], ["tensor", "gone"]]
    bad += [["dict", [["x", 1], ["x", 2]]], ["dict", [[1.5, 1]]], ["dict", [[None, 1]]]]
    bad += [["dict", [["x", ["tensor", ["x"]]]]], ["bytes", "xyz"], ["float", "abc"], "[" * 9999]
    for one in [*bad, tree[:1]]:
        text = one if isinstance(one, str) else json.dumps(one)
        mg.save({}, path, metadata={**metadata, "tree": text})
        with pytest.raises(ValueError, match="damaged"):
            mg.load_checkpoint(path)
