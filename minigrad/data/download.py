"""Fetching the official files of a data set: checked, with progress, and resumed after a break."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigrad.lazy import extra


@dataclass(frozen=True)
class Source:
    """A published data set: its folder below the root, where it is to be had, and its files."""

    folder: str
    addresses: Sequence[str]
    #: The SHA-256 of each file.
    files: dict[str, str] = field(default_factory=dict[str, str])


MNIST = Source(
    "mnist",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    {
        "train-images-idx3-ubyte.gz": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        "train-labels-idx1-ubyte.gz": (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    },
)

FASHION_MNIST = Source(
    "fashion-mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    {
        "train-images-idx3-ubyte.gz": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "train-labels-idx1-ubyte.gz": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    },
)


def root_folder(root: str | os.PathLike[str] | None) -> Path:
    """Where data sets live: ``root``, else ``$MINIGRAD_DATA``, else the user's cache folder."""
    if root is not None:
        return Path(root)
    if os.environ.get("MINIGRAD_DATA"):
        return Path(os.environ["MINIGRAD_DATA"])
    pooch = extra("pooch", "data", "finding the user's cache folder")
    return Path(pooch.os_cache("minigrad"))


def fetch(source: Source, name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """The path of one file of a data set, downloaded first if it is not there.

    A download is compared with its checksum before it takes its place; what a break leaves behind
    (``name.part``) is continued the next time. Raises ConnectionError when no address answers.
    """
    folder = root_folder(root) / source.folder
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
    """Download into ``name.part`` beside the output, going on where an earlier try broke off."""
    from tqdm import tqdm

    requests = extra("requests", "data", "downloading")
    part = Path(output).parent / (url.rpartition("/")[2] + ".part")
    done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
        if answer.status_code == 416:  # there is nothing after what we have
            part.replace(output)
            return
        answer.raise_for_status()
        if answer.status_code != 206:
            done = 0
        total = done + int(answer.headers.get("Content-Length", 0))
        with (
            part.open("ab" if done else "wb") as file,
            tqdm(
                desc=part.stem, total=total or None, initial=done, unit="B", unit_scale=True
            ) as bar,
        ):
            for piece in answer.iter_content(2**16):
                bar.update(file.write(piece))
    part.replace(output)
