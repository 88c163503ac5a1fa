"""Every page of the built documentation in a real browser: run by ``make site-check``.

Each is opened wide and on a phone, in light and in dark: axe-core looks for what keeps people out,
``site_checks.js`` for what merely looks broken.
"""

import importlib.util
import json
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, executable

import minigrad as mg
from minigrad import nn

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(executable() is None, reason="no Chromium (apt install chromium)"),
]
SITE = Path(__file__).parents[1] / "docs" / "_build" / "html"
PAGES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html"))
CHECKS = (Path(__file__).parent / "site_checks.js").read_text(encoding="utf-8")
HIGHEST, SMALLEST = 8000, 0.65
#: Pages that axe looks at as a whole, the menu and coloured code too. The others have the same, and
#: those that one template makes are all alike.
THOROUGH = {
    "index.html",
    "learn/derivative.html",
    "_modules/minigrad/nn/linear.html",
    "genindex-A.html",
}
ALIKE = ("_modules/minigrad/", "genindex-")
WIDE, PHONE = (1280, 900), (390, 844)


def axe_core():
    """The text of axe-core, which is development's own and comes in a package for Playwright."""
    package = importlib.util.find_spec("axe_playwright_python")
    assert package, "pip install --no-deps axe-playwright-python, as make site-check does"
    (folder,) = package.submodule_search_locations
    return Path(folder, "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser():
    script = f"{axe_core()}\n{CHECKS}"
    with Browser() as one:
        one.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        yield one


def look(browser, size, theme):
    width, height = size
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=height, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    scheme = {"name": "prefers-color-scheme", "value": theme}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])


def wrong(browser, path, language="en", thorough=True, axe=True):
    """All that is wrong with a page, as lines."""
    browser.errors.clear()
    browser.requests.clear()
    look(browser, WIDE, "light")
    browser.go(path)
    browser.run("site.settled()")
    for size, theme, checks in (
        (WIDE, "light", (
            f"site.head('{language}')", "site.formulas()", f"site.height({HIGHEST})",
            f"site.images({SMALLEST})", "site.axe('all', {0})",
        )),
        (WIDE, "dark", ("site.axe('contrast', {0})",)),
        # Colours are those of a wide window: this takes longest.
        (PHONE, "dark", ("site.axe('contrast', {0})",) if thorough else ()),
        (PHONE, "light", (f"site.images({SMALLEST})", "site.axe('layout', {0})")),
    ):  # fmt: skip
        look(browser, size, theme)
        browser.run("site.drawn()")
        for check in (*checks, "site.overflow()"):
            if axe or "axe" not in check:
                found = browser.run(check.format(json.dumps(thorough)))
                yield from (f"{size[0]} {theme}: {line}" for line in found)
    yield from (f"console: {error}" for error in browser.errors)
    yield from (f"network: {url}" for url in browser.requests if url.startswith("http"))


def test_the_site_is_built():
    assert len(PAGES) > 100, "make docs builds the site that is looked at"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_the_site(browser, page):
    language = "ko" if page.startswith("ko/") or page.endswith("-ko.html") else "en"
    thorough = page in THOROUGH
    axe = thorough or not page.startswith(ALIKE)
    found = list(wrong(browser, SITE / page, language, thorough, axe))
    assert not found, "\n" + "\n".join(found)


def film_of_a_scalar(path):
    x = mg.tensor(0.5, requires_grad=True)
    with mg.film() as steps:
        (np.sin(x) * x).backward()
    steps.save(path, {"x": x})


def graph_with_a_nan(path):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    with np.errstate(all="ignore"), mg.observe():
        loss = mg.log(-(model(mg.ones((3, 4))) ** 2)).mean()
        loss.backward(retain_graph=True)
    everything = ("values", "gradients", "bytes", "time", "line")
    mg.make_dot({"loss": loss}, dict(model.named_parameters()), show=everything).save(path)


@pytest.mark.parametrize("make", [film_of_a_scalar, graph_with_a_nan])
def test_a_page_that_minigrad_writes(browser, tmp_path, make):
    path = tmp_path / "page.html"
    make(path)
    found = list(wrong(browser, path))
    assert not found, "\n" + "\n".join(found)


#: What people type, and a page that answers, which is to be among the first.
ANSWERS = {
    "GPU": "questions.html",
    "tensorboard": "reference/training/callbacks",
    "scipy": "howto/scipy.html",
    "onnx": "howto/onnx.html",
    "mpi": "howto/several-processes.html",
    "dropout": "reference/nn/",
    "BatchNorm": "reference/nn/normalisation",
    "합성곱": "ko/convolution.html",
    "자동 미분": "ko/",
    "자동미분": "ko/glossary.html",
}


@pytest.mark.parametrize("words", ANSWERS)
def test_the_search_leads_to_an_answer(browser, words):
    address = (SITE / "search.html").as_uri() + "?" + urllib.parse.urlencode({"q": words})
    browser.go(address)
    found = browser.run("""new Promise((give) => {
      const look = () => {
        const links = [...document.querySelectorAll("#search-results ul.search a")];
        const done = !/Searching|Preparing/.test(document.querySelector("#search-results h2")?.textContent ?? "Searching");
        if (done) give(links.map((a) => a.getAttribute("href"))); else setTimeout(look, 50);
      };
      look();
    })""")
    assert any(ANSWERS[words] in link for link in found[:5]), found[:10]
