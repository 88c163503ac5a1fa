"""Bring pip into an environment whose Python has neither ensurepip nor pip to start from.

`python3 tools/fetch_pip.py .venv/bin/python` reads the user's own pip configuration, finds the
newest pip wheel on the index named there, checks its hash, and lets that wheel install itself: a
wheel is a zip file, and Python runs zip files. Only the standard library is used.
"""

import base64
import configparser
import hashlib
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

WHEEL = re.compile(r"pip-(\d+(?:\.\d+)*)-py3-none-any\.whl")


def main(python: str) -> None:
    links = [link for address, text in pages() for link in WheelLinks(address, text).found]
    if not links:
        sys.exit("fetch_pip: no index in the pip configuration has a wheel of pip.")
    _, link = max(links)
    address, _, stated = link.partition("#sha256=")
    name = Path(urllib.parse.urlsplit(address).path).name
    wheel = fetch(address)
    if hashlib.sha256(wheel).hexdigest() != stated:
        sys.exit(f"fetch_pip: the hash of {name} is not the one that its index states.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(wheel)
        command = [python, str(path / "pip"), "install", "--no-index", str(path)]
        sys.exit(subprocess.run(command, check=False).returncode)


def pages() -> Iterator[tuple[str, str]]:
    """Yield (address, text) of the page about pip on each configured index that has one."""
    for index in configured("index-url") + configured("extra-index-url"):
        address = index.rstrip("/") + "/pip/"
        try:
            # A folder on this machine has no server to add the file's name.
            page = fetch(address + "index.html" if address.startswith("file:") else address)
        except OSError:
            continue
        yield address, page.decode("utf-8", errors="replace")


def configured(option: str) -> list[str]:
    """Return the values of a pip option, from the environment or else the first file with it."""
    name = "PIP_" + option.upper().replace("-", "_")
    if name in os.environ:
        return os.environ[name].split()
    home = Path.home()
    files = [
        Path(os.environ.get("PIP_CONFIG_FILE", os.devnull)),
        Path(os.environ.get("XDG_CONFIG_HOME", home / ".config"), "pip", "pip.conf"),
        home / "Library" / "Application Support" / "pip" / "pip.conf",
        home / ".pip" / "pip.conf",
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
    ]
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file, encoding="utf-8")
        for section in ("install", "global"):
            if parser.has_option(section, option):
                return parser.get(section, option).split()
    return []


class WheelLinks(HTMLParser):
    """The pip wheels, as (version, address), that a page of links offers to this Python."""

    def __init__(self, address: str, text: str) -> None:
        super().__init__()
        self.address = address
        self.found: list[tuple[tuple[int, ...], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs)
        address = urllib.parse.urljoin(self.address, link.get("href") or "")
        wheel = WHEEL.fullmatch(Path(urllib.parse.urlsplit(address).path).name)
        oldest = re.search(r">=\s*3\.(\d+)", link.get("data-requires-python") or "")
        too_new = oldest is not None and sys.version_info < (3, int(oldest[1]))
        if tag == "a" and wheel and not too_new and "data-yanked" not in link:
            self.found.append((tuple(map(int, wheel[1].split("."))), address))


def fetch(address: str) -> bytes:
    """Return the bytes at an address, which may carry a user's name and password."""
    parts = urllib.parse.urlsplit(address)
    login, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=host)))
    if at:
        word = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {word}")
    certificates = configured("cert")[0] if configured("cert") else None
    context = ssl.create_default_context(cafile=certificates)
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        return bytes(answer.read())


if __name__ == "__main__":
    main(sys.argv[1])
