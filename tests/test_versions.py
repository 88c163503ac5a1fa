"""The list of versions on the pages of two releases, in a real browser: ``make site-check``."""

import functools
import http.server
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from browser import Browser, executable
from by_path import load

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(executable() is None, reason="no Chromium (apt install chromium)"),
    pytest.mark.skipif(not shutil.which("git"), reason="no git"),
]
ROOT = Path(__file__).parents[1]
CONF = """
project, html_theme, html_static_path = "p", "furo", ["_static"]
html_css_files, html_js_files = ["versions.css"], ["versions.js"]
"""


def repository(root):
    """Two releases of a small documentation; the second one has a page more."""
    static = root / "docs" / "_static"
    static.mkdir(parents=True)
    for name in ("versions.js", "versions.css"):
        shutil.copy(ROOT / "docs" / "_static" / name, static)
    (root / "docs" / "conf.py").write_text(CONF)
    pages = {
        "index": "Start\n=====\n\n.. toctree::\n   :glob:\n\n   part/*\n",
        "part/old": "Old\n===",
    }
    own = ["user.name=A", "user.email=a@b", "commit.gpgsign=false", "tag.gpgsign=false"]
    git = ["git", *(word for one in own for word in ("-c", one))]
    subprocess.run([*git, "init", "--quiet"], cwd=root, check=True)
    for tag in ("v1.9.0", "v1.10.0"):
        for name, text in pages.items():
            path = root / "docs" / f"{name}.rst"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        subprocess.run([*git, "add", "."], cwd=root, check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", tag], cwd=root, check=True)
        subprocess.run([*git, "tag", tag], cwd=root, check=True)
        pages["part/new"] = "New\n==="
    return root


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing of each page."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    versions = load(ROOT / "tools" / "build_versions.py")
    versions.main(folder / "site", repository(folder / "repository"))
    handler = functools.partial(Quiet, directory=folder / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


LIST = "document.querySelector('select.versions')"


def until(browser, condition):
    """Wait until an expression of the page is true."""
    deadline = time.monotonic() + 60
    while not browser.run(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)


def shown(browser):
    """The versions to choose from; a star marks the one that is open."""
    until(browser, f"!!{LIST}")
    return browser.run(f"[...{LIST}.options].map(o => (o.selected ? '*' : '') + o.text)")


def choose(browser, name, path):
    browser.run(f"{LIST}.value = {name!r}; {LIST}.dispatchEvent(new Event('change')); 1")
    until(browser, f"location.pathname === {path!r} && document.readyState === 'complete'")


def test_a_page_leads_to_the_same_page_of_another_version(address):
    with Browser() as browser:
        browser.go(f"{address}/")
        until(browser, "location.pathname === '/stable/' && document.readyState === 'complete'")
        assert shown(browser) == ["dev", "*1.10.0 (stable)", "1.9.0"]
        browser.go(f"{address}/1.10.0/part/old.html")
        assert shown(browser) == ["dev", "*1.10.0 (stable)", "1.9.0"]
        choose(browser, "1.9.0", "/1.9.0/part/old.html")
        assert shown(browser) == ["dev", "1.10.0 (stable)", "*1.9.0"]
        assert not [one for one in browser.errors if "favicon" not in str(one)]
        browser.go(f"{address}/dev/part/new.html")
        assert shown(browser) == ["*dev", "1.10.0 (stable)", "1.9.0"]
        choose(browser, "1.9.0", "/1.9.0/")  # which has no such page
