"""Download the official files of a data set with pooch: verified, with progress, and resumable.

A file that is there already is never fetched again, so a copy of the files works without a network.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigrad.lazy import extra


@dataclass(frozen=True)
class Source:
    """A published data set: its folder below the root, its addresses, and its files."""

    folder: str
    addresses: Sequence[str]
    #: The SHA-256 of each file.
    files: dict[str, str]


def _like_mnist(folder: str, addresses: Sequence[str], *checksums: str) -> Source:
    parts = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in KINDS]
    return Source(folder, addresses, dict(zip(parts, checksums, strict=True)))


KINDS = ("images-idx3", "labels-idx1")

MNIST = _like_mnist(
    "mnist",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)

FASHION_MNIST = _like_mnist(
    "fashion-mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)


def fetch(source: Source, name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """The path of one file of a data set, downloaded first if it is not there.

    Data sets live in ``root``, else in ``$MINIGRAD_DATA``, else in the user's cache folder.
    A download gets its name only after its checksum has been compared; one that breaks off is left
    as ``name.part`` and continued the next time. Raises ConnectionError if no address answers.
    """
    home: Any = root if root is not None else os.environ.get("MINIGRAD_DATA") or None
    if home is None:
        home = extra("pooch", "data", "finding the user's cache folder").os_cache("minigrad")
    folder = Path(home) / source.folder
    path = folder / name
    if path.exists():
        return path
    pooch = extra("pooch", "data", f"{path} is not there; downloading it")
    pooch.get_logger().setLevel("WARNING")
    tried: list[str] = []
    for address in source.addresses:
        try:
            pooch.retrieve(
                address + name, f"sha256:{source.files[name]}", name, folder, downloader=_resume
            )
        except (OSError, ValueError) as error:
            reason = "wrong checksum" if isinstance(error, ValueError) else type(error).__name__
            tried.append(f"{address} ({reason})")
        else:
            return path
    raise ConnectionError(
        f"could not download {name}: tried {', '.join(tried)}. Check the network, or put the "
        f"file into {folder}, or name the folder above it with root= or $MINIGRAD_DATA"
    )


def _resume(url: str, output: str, _: Any) -> None:
    """Download to ``name.part`` beside the output, continuing where an earlier try broke off."""
    from tqdm import tqdm

    pooch = extra("pooch", "data", "downloading")
    requests = extra("requests", "data", "downloading")
    part = Path(output).parent / (url.rpartition("/")[2] + ".part")
    # pooch sets the total; tqdm has no truth value without one, which pooch asks for.
    bar = tqdm(desc=part.stem, total=1, unit="B", unit_scale=True, delay=0.1)
    try:
        with part.open("ab") as file, bar:
            done = file.tell()

            def start_again(answer: Any, **_: Any) -> None:
                if answer.status_code == 200:  # the whole file, from a server without ranges
                    file.truncate(0)

            download = pooch.HTTPDownloader(
                progressbar=bar,
                chunk_size=2**16,
                headers={"Range": f"bytes={done}-"} if done else {},
                hooks={"response": start_again},
            )
            download(url, file, None)
    except requests.RequestException as error:
        if getattr(error.response, "status_code", None) != 416:  # there is nothing after the part
            if not part.stat().st_size:
                part.unlink()
            raise
    part.replace(output)
