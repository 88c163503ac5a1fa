"""The IDX reader and the collections: right files are read exactly, damaged ones never harm."""

import gzip
import hashlib
import os
import struct
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import datasets, download

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array):
    """Write the format independently of the reader."""
    code = CODES[array.dtype.str[1:]]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", CODES)
def test_every_type_comes_back(tmp_path, dtype, compress):
    array = (np.arange(24) * 37 % 100).astype(dtype).reshape(2, 3, 4)
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(idx(array)) if compress else idx(array))
    found = mg.data.read_idx(path)
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)
    found[0] = 0  # the caller's own


def test_an_empty_array_is_an_array(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(idx(np.zeros((0, 28, 28), np.uint8)))
    assert mg.data.read_idx(path).shape == (0, 28, 28)


def damaged(content, generator):
    """One damaged version: cut, lengthened, with changed bytes or a changed header."""
    kind = generator.integers(4)
    if kind == 0:
        return content[: generator.integers(len(content))]
    if kind == 1:
        return content + generator.bytes(1 + generator.integers(50))
    changed = bytearray(content)
    last = len(content) if kind == 2 else 16
    for _ in range(1 + generator.integers(8)):
        changed[generator.integers(last)] = generator.integers(256)
    return bytes(changed)


@pytest.mark.parametrize("layers", ["plain", "gzip", "inside gzip"])
def test_300_damaged_files_raise_only_value_errors(tmp_path, layers):
    generator = np.random.default_rng(5)
    good = idx(generator.integers(256, size=(5, 28, 28)).astype(np.uint8))
    path = tmp_path / "file"
    raised = intact = 0
    for _ in range(300):
        if layers == "inside gzip":
            content = gzip.compress(damaged(good, generator))
        else:
            content = damaged(gzip.compress(good) if layers == "gzip" else good, generator)
        path.write_bytes(content)
        tracemalloc.start()
        try:
            array = mg.data.read_idx(path)
        except ValueError as error:
            raised += str(path) in str(error)
        else:
            intact += array.nbytes <= len(good)  # changed pixels are still pixels
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 2 * 10**6
    assert raised + intact == 300
    assert raised > 150


def announced(shape, content=b""):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got nothing"),
        (b"\0\0\x08", "no IDX file"),
        (b"\0\0\x07\x01\0\0\0\0", "no IDX file"),
        (b"\0\0\x08\0\7", "no IDX file.*got 00 00 08 00$"),
        (b"\0\1\x08\1\0\0\0\0", "no IDX file"),
        (b"\1\0\x08\1\0\0\0\0", "no IDX file"),
        (b"PK\x03\x04 something else", "no IDX file"),
        (b"\0\0\x08\x03\0\0\0\1", "inside the header"),
        (b"\0\0\x08\x02" + bytes(7), "cut short inside the header, which announces 2 axes"),
        (announced((10,), bytes(9)), r"10 numbers \(10 bytes\), got 9 bytes; the file is cut"),
        (
            announced((2,) * 8, bytes(9)),
            r"announces 2 x 2 x 2 x 2 x 2 x 2 x 2 x 2 numbers \(256 bytes\)",
        ),
        (
            announced((2,) * 9, bytes(9)),
            r"announces 2 x 2 x 2 x 2 x 2 x 2 x 2 x 2 x \.\.\. numbers",
        ),
        (announced((100,), bytes(9)), "more than a file of this length"),
        (announced((10,), bytes(11)), "goes on after"),
        (announced((2**32 - 1,) * 3, bytes(100)), "more than a file of this length"),
        (announced((1,) * 70, bytes(1)), "dimension"),
        (gzip.compress(announced((1000,), bytes(900)), mtime=0), "cut short"),
        (gzip.compress(announced((1000,), bytes(1000)), mtime=0)[:-12], "cut short"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        mg.data.read_idx(path)


def test_dtypes_of_idx_files_have_their_codes(tmp_path):
    for name, code in CODES.items():
        content = np.array([1, 100], np.dtype(name).newbyteorder(">")).tobytes()
        (tmp_path / "file").write_bytes(bytes([0, 0, code, 1, 0, 0, 0, 2]) + content)
        found = mg.data.read_idx(tmp_path / "file")
        assert (found.dtype, found.tolist()) == (np.dtype(name), [1, 100])


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 11])
def test_numbers_are_read_piece_by_piece(tmp_path, size, monkeypatch):
    monkeypatch.setattr("minigrad.data.idx.PIECE", 4)
    path, numbers = tmp_path / "file", bytes(range(size))
    path.write_bytes(announced((size,), numbers))
    assert mg.data.read_idx(path).tolist() == [*numbers]
    assert mg.data.read_idx(path, limit=size).tolist() == [*numbers]
    with pytest.raises(
        ValueError, match=f"announces {size} bytes, more than the limit of {size - 1};"
    ):
        mg.data.read_idx(path, limit=size - 1)
    for more in (1, 7):
        path.write_bytes(announced((size,), numbers + bytes(more)))
        with pytest.raises(ValueError, match="goes on after them"):
            mg.data.read_idx(path)
    path.write_bytes(announced((size,), numbers)[:-1])
    with pytest.raises(
        ValueError, match=f"got {size - 1} bytes; the file is cut|more than a file of"
    ):
        mg.data.read_idx(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    path = tmp_path / "file"
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"read_idx: .* is a pipe, expected a file"):
        mg.data.read_idx(path)


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path):
    plain, bomb = tmp_path / "plain", tmp_path / "bomb"
    plain.write_bytes(announced((2**31, 28, 28), bytes(1000)))
    # 40 MB of zeros in a file of 40 kB: deflate can do that, so only the limit helps.
    bomb.write_bytes(gzip.compress(announced((4 * 10**7, 1), bytes(4 * 10**7))))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="damaged"):
            mg.data.read_idx(plain)
        with pytest.raises(ValueError, match="more than the limit of 1000000"):
            mg.data.read_idx(bomb, limit=10**6)
        assert tracemalloc.get_traced_memory()[1] < 2 * 10**6
    finally:
        tracemalloc.stop()


# -- the collections -------------------------------------------------------------------------------


def write_collection(folder, images, labels, part="train"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in ((f"{part}-images-idx3", images), (f"{part}-labels-idx1", labels)):
        (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(idx(array), mtime=0))


@pytest.fixture
def small(tmp_path):
    generator = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 6), ("t10k", 3)):
        images = generator.integers(256, size=(count, 28, 28)).astype(np.uint8)
        labels = generator.integers(10, size=count).astype(np.uint8)
        parts[part] = images, labels
        write_collection(tmp_path / "mnist", images, labels, part)
        write_collection(tmp_path / "fashion-mnist", 255 - images, labels, part)
    return tmp_path, parts


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_collections_are_read_from_the_root(small, monkeypatch, way):
    root, parts = small
    monkeypatch.setenv("MINIGRAD_DATA", str(root) if way == "environment" else "/nowhere")
    root = root if way == "argument" else None
    (x_train, y_train), (x_test, y_test) = mg.data.load_mnist(root)
    assert x_train.dtype == np.uint8
    assert y_train.dtype == np.int64
    np.testing.assert_array_equal(x_train, parts["train"][0])
    np.testing.assert_array_equal(y_test, parts["t10k"][1])
    (fashion, _), _ = mg.data.load_fashion_mnist(root)
    np.testing.assert_array_equal(fashion, 255 - x_train)
    assert x_test.shape == (3, 28, 28)
    for load, raw in ((mg.data.load_mnist, x_train), (mg.data.load_fashion_mnist, fashion)):
        (images, labels), (others, _) = load(root, normalized=True)
        assert (images.shape, images.dtype) == ((6, 1, 28, 28), np.float32)
        assert others.shape == (3, 1, 28, 28)
        np.testing.assert_allclose(images[:, 0], raw / 255, rtol=1e-6)
        np.testing.assert_array_equal(labels, y_train)
        assert mg.nn.Conv2d(1, 2, 3)(images).shape == (6, 2, 26, 26)


def test_files_that_do_not_fit_together_are_refused(small):
    root, parts = small
    images, labels = parts["train"]
    write_collection(root / "mnist", images, labels[:-1])
    with pytest.raises(ValueError, match=r"expected 6 uint8 labels.*got uint8 \(5,\)"):
        mg.data.load_mnist(root)
    write_collection(root / "mnist", images, labels * 0 + 9)
    assert mg.data.load_mnist(root)[0][1].tolist() == [9] * 6
    write_collection(root / "mnist", images, labels * 0 + 10)
    with pytest.raises(ValueError, match="labels from 0 to 9, got 10"):
        mg.data.load_mnist(root)
    write_collection(root / "mnist", images[:, 1:], labels)
    with pytest.raises(ValueError, match=r"\(N, 28, 28\), got uint8 \(6, 27, 28\)"):
        mg.data.load_mnist(root)


def official():
    root = os.environ.get("MINIGRAD_DATA")
    return root is not None and Path(root, "mnist", "train-images-idx3-ubyte.gz").exists()


@pytest.mark.skipif(not official(), reason="no official files in $MINIGRAD_DATA")
@pytest.mark.parametrize("source", [download.MNIST, download.FASHION_MNIST])
def test_checksums_are_those_of_the_official_files(source):
    for name, checksum in source.files.items():
        content = download.fetch(source, name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == checksum


def test_digits_are_divided_the_same_way_each_time():
    pytest.importorskip("sklearn")
    (x_train, y_train), (x_test, y_test) = mg.data.load_digits()
    assert x_train.shape == (1438, 1, 8, 8)
    assert x_test.shape == (359, 1, 8, 8)
    assert x_train.dtype == np.float32
    assert y_test.dtype == np.int64
    assert x_train.min() == 0
    assert x_train.max() == 1
    whole = np.bincount(np.concatenate([y_train, y_test]))
    assert (abs(np.bincount(y_test) - whole / 5) <= 1).all()
    np.testing.assert_array_equal(mg.data.load_digits()[1][0], x_test)
    # Which images are held out is part of every figure that was told of them.
    assert np.bincount(y_test).tolist() == [35, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    assert (x_test.reshape(359, -1).sum(1) * 16)[:6].tolist() == [290, 319, 315, 262, 286, 322]
    assert y_train[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9, 0, 2, 3]


def test_a_missing_extra_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"scikit-learn: pip install 'minigrad\[data\]'"):
        datasets.load_digits()


# -- downloads, from a server on this machine ------------------------------------------------------

CONTENT = gzip.compress(idx(np.arange(200_000, dtype=np.int32)))


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.starts.append(start)
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        if self.server.breaks:
            body = body[:200_000]
        if self.server.wrong:
            body = bytes(len(body))
        self.send_response(206 if start and self.server.ranges else 200)
        if start and not self.server.ranges:
            body = CONTENT
        self.send_header("Content-Length", str(len(CONTENT) - start * self.server.ranges))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    pytest.importorskip("pooch")
    pytest.importorskip("requests")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.starts, server.breaks, server.wrong, server.ranges = [], False, False, True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def source_at(server):
    checksum = hashlib.sha256(CONTENT).hexdigest()
    return download.Source(
        "set", (f"http://127.0.0.1:{server.server_port}/",), {"file.gz": checksum}
    )


def test_a_file_is_downloaded_once(server, tmp_path):
    path = download.fetch(source_at(server), "file.gz", tmp_path)
    assert path == tmp_path / "set" / "file.gz"
    assert path.read_bytes() == CONTENT
    assert download.fetch(source_at(server), "file.gz", tmp_path) == path
    assert server.starts == [0]
    assert [p.name for p in path.parent.iterdir()] == ["file.gz"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_broke(server, tmp_path, ranges):
    server.breaks = True
    with pytest.raises(ConnectionError, match=r"could not download file\.gz"):
        download.fetch(source_at(server), "file.gz", tmp_path)
    part = tmp_path / "set" / "file.gz.part"
    done = part.stat().st_size
    assert 0 < done <= 200_000
    assert part.read_bytes() == CONTENT[:done]
    assert not (tmp_path / "set" / "file.gz").exists()
    server.breaks, server.ranges = False, ranges
    assert download.fetch(source_at(server), "file.gz", tmp_path).read_bytes() == CONTENT
    assert server.starts == [0, done]
    assert not part.exists()


def test_a_wrong_file_never_takes_its_place(server, tmp_path):
    server.wrong = True
    with pytest.raises(ConnectionError, match="wrong checksum"):
        download.fetch(source_at(server), "file.gz", tmp_path)
    assert not list((tmp_path / "set").iterdir())
    server.wrong = False
    download.fetch(source_at(server), "file.gz", tmp_path)


def test_without_a_network_one_line_says_what_to_do(server, tmp_path):
    source = source_at(server)
    server.server_close()
    with pytest.raises(ConnectionError) as raised:
        download.fetch(source, "file.gz", tmp_path)
    message = str(raised.value)
    assert "\n" not in message
    assert "MINIGRAD_DATA" in message
    assert str(tmp_path / "set") in message
    assert not list((tmp_path / "set").iterdir())


def test_a_download_that_broke_off_after_the_last_byte_is_only_renamed(server, tmp_path):
    part = tmp_path / "set" / "file.gz.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    assert download.fetch(source_at(server), "file.gz", tmp_path).read_bytes() == CONTENT
    assert server.starts == [len(CONTENT)]
    assert not part.exists()


def test_a_download_is_shown_by_a_bar_that_ends_full(server, tmp_path, monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    bars = []

    class Bar(tqdm.tqdm):
        def close(self):
            bars.append((self.n, self.total, self.desc, self.unit, self.unit_scale, self.delay))
            super().close()

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    download.fetch(source_at(server), "file.gz", tmp_path)
    size = len(CONTENT)
    assert bars[0] == (size, size, "file.gz", "B", True, 0.1)


def test_a_source_stays_as_it_is_published():
    source = download.Source("digits", ("https://example.org/",), {"a": "0" * 64})
    with pytest.raises(AttributeError):
        source.folder = "others"
