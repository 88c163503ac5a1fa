"""The texts of an SVG: they keep to their boxes, and lines apart, in whatever font they are shown."""

import itertools
import re
import shutil

import pytest
from browser import Browser, executable

import minigrad as mg
from minigrad import nn
from minigrad.graph.fitted import fitted, text_width

TEXT = re.compile(r'<text [^>]*y="([-.\d]+)"[^>]*font-size="([.\d]+)"[^>]*>([^<]*)<')


@pytest.fixture(scope="module")
def svg():
    if not shutil.which("dot"):
        pytest.importorskip("pygraphviz")
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    x = mg.randn(16, 4)
    with mg.observe(time=False):
        loss = (model(x) ** 2).mean()
        loss.backward(retain_graph=True)
    names = {**dict(model.named_parameters()), "x": x}
    show = ("values", "gradients", "bytes", "line")
    return mg.make_dot({"손실 값": loss}, names, show=show).pipe("svg", encoding="utf-8")


def test_every_text_has_the_length_that_it_was_laid_out_with(svg):
    assert svg.count("<text ") == svg.count("textLength=") > 40


def test_widths_are_those_of_helvetica():
    assert text_width("minigrad", 10) == pytest.approx(8.33 + 2 * 2.22 + 4 * 5.56 + 3.33)
    assert text_width("minigrad", 10, bold=True) == pytest.approx(
        8.89 + 2 * 2.78 + 3 * 6.11 + 5.56 + 3.89
    )
    assert text_width("역전파 ~", 20) == pytest.approx(3 * 20 + 5.56 + 11.68)
    assert text_width("", 10) == 0


def test_an_escaped_letter_counts_once():
    line = '<text x="1" font-size="10.00">a &lt; b</text>'
    assert f'textLength="{text_width("a < b", 10):.2f}"' in fitted(line)
    assert fitted("<text>no size</text>") == "<text>no size</text>"


def test_lines_stand_apart_in_an_engine_that_leaves_no_room_between_them(svg):
    for node in re.findall(r'class="node">(.*?)</g>\s*</g>', svg, re.DOTALL):
        lines = [(float(y), float(s)) for y, s, text in TEXT.findall(node) if text.strip()]
        for (upper, size), (lower, _) in itertools.pairwise(lines):
            assert lower - upper >= (11.9 if size > 10 else 9.9)


#: How far each text reaches out of its box, and each part of a line into the next.
OUTSIDE = """(() => {
  const wide = [];
  for (const node of document.querySelectorAll('.node')) {
    const box = node.querySelector('path, polygon, ellipse').getBoundingClientRect();
    for (const text of node.querySelectorAll('text')) {
      const place = text.getBoundingClientRect();
      if (text.textContent.trim() && (place.left < box.left - 1 || place.right > box.right + 1))
        wide.push(text.textContent);
    }
  }
  for (const title of document.querySelectorAll('.cluster')) {
    const parts = [...title.querySelectorAll('text')].map((e) => e.getBoundingClientRect());
    parts.slice(1).forEach((p, i) => { if (parts[i].right > p.left + 1) wide.push(i); });
  }
  return wide;
})()"""


@pytest.mark.slow
@pytest.mark.skipif(executable() is None, reason="no Chromium is installed (apt install chromium)")
def test_no_font_leaves_its_box(svg, tmp_path):
    fonts = ("Helvetica,Arial", "serif", "monospace", "DejaVu Sans", "cursive", "system-ui")
    page = tmp_path / "fonts.html"
    with Browser() as browser:
        for font in fonts:
            shown = svg[svg.index("<svg") :].replace("Helvetica,Arial,sans-serif", font)
            page.write_text(f"<!DOCTYPE html><meta charset=utf-8>{shown}", encoding="utf-8")
            browser.go(page)
            assert browser.run(OUTSIDE) == [], font
        # The check sees a text that has no length of its own.
        page.write_text(page.read_text(encoding="utf-8").replace("textLength", "data-x")
                        .replace("system-ui", "monospace"), encoding="utf-8")  # fmt: skip
        browser.go(page)
        assert browser.run(OUTSIDE)
