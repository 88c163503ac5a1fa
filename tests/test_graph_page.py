"""The interactive page, in a real browser."""

import numpy as np
import pytest
from browser import Browser, executable

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F

needs_browser = pytest.mark.skipif(
    executable() is None, reason="no Chromium is installed (apt install chromium)"
)
#: An element by the name that a module or operator shows.
BY_NAME = """[...document.querySelectorAll('{0}')].find(
    (e) => e.textContent.includes('{1}'))"""


def deep_convnet():
    """Six convolutions and two affine layers, as in "Deep Learning from Scratch"."""

    def pair(n, m, padding=1):
        return [nn.Conv2d(n, m, 3, padding=padding), nn.ReLU()]

    features = [*pair(1, 16), *pair(16, 16), nn.MaxPool2d(2), *pair(16, 32), *pair(32, 32, 2)]
    features += [nn.MaxPool2d(2), *pair(32, 64), *pair(64, 64), nn.MaxPool2d(2)]
    model = nn.Sequential()
    model.add(nn.Sequential(*features), "features")
    model.add(
        nn.Sequential(nn.Flatten(), nn.Linear(1024, 50), nn.ReLU(), nn.Linear(50, 10)), "head"
    )
    return model


def step(model):
    x = mg.randn(2, 1, 28, 28)
    loss = F.cross_entropy(model(x), np.array([3, 8]))
    return loss, dict(model.named_parameters(), x=x)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "net.html"
    mg.manual_seed(0)
    with mg.observe():
        loss, params = step(deep_convnet())
        loss.backward(retain_graph=True)
    everything = ("values", "gradients", "bytes", "time", "line")
    mg.make_dot({"loss": loss}, params, show=everything, depth=2).save(path)
    return path


@pytest.fixture(scope="module")
def browser(page):
    with Browser() as one:
        one.go(page)
        yield one


def test_one_small_file_without_network(page):
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 500_000
    assert "<script src" not in text
    assert "<link" not in text
    assert text.count("http") == text.count("http://www.w3.org/2000/svg")


def boxes(browser):
    return browser.run("document.querySelectorAll('.box').length")


@needs_browser
def test_it_opens(browser):
    assert boxes(browser) > 20
    assert not browser.errors
    assert all(url.startswith("file:") for url in browser.requests)


@needs_browser
def test_a_click_opens_a_module_and_another_closes_it(browser):
    browser.run("document.getElementById('close-all').click()")
    assert boxes(browser) < 10
    before = boxes(browser)
    browser.click(BY_NAME.format(".box.toggle", "Sequential"))
    assert boxes(browser) > before
    browser.click(BY_NAME.format(".head.toggle", "Sequential"))
    assert boxes(browser) == before
    browser.run("document.getElementById('reset').click()")
    assert not browser.errors


@needs_browser
def test_a_key_opens_a_module(browser):
    browser.run("document.getElementById('close-all').click()")
    before = boxes(browser)
    browser.run(BY_NAME.format(".box.toggle", "Sequential") + ".focus()")
    browser.press("Enter")
    assert boxes(browser) > before
    browser.run("document.getElementById('reset').click()")


@needs_browser
def test_hovering_shows_details(browser):
    browser.run("document.getElementById('open-all').click()")
    hidden = "document.getElementById('details').hidden"
    browser.hover(BY_NAME.format(".box", "conv2d"))
    assert browser.run(hidden) is False
    text = browser.run("document.getElementById('details').textContent")
    for part in ("conv2d", "features.0: Conv2d", "2 × 16 × 28 × 28", "float32", "gradient", "kept"):
        assert part in text
    assert "test_graph_page.py:" in text
    assert browser.run("document.querySelectorAll('#details rect').length") > 10  # the histogram
    browser.hover("document.getElementById('search')")
    assert browser.run(hidden) is True
    browser.run("document.getElementById('reset').click()")


@needs_browser
def test_the_search_finds_what_is_in_a_closed_module(browser):
    browser.run("document.getElementById('close-all').click()")
    browser.click("document.getElementById('search')")
    browser.type("head.3.weight")
    assert "1 match" in browser.run("document.getElementById('found').textContent")
    assert browser.run("document.querySelectorAll('.match').length") == 1  # the closed module
    browser.press("Enter")
    assert browser.run("document.querySelector('.current').textContent").startswith("weight")
    x, y = browser.middle("document.querySelector('.current')")
    assert 0 < x < 1200
    assert 0 < y < 900
    browser.run("document.getElementById('reset').click()")
    assert not browser.errors


@needs_browser
def test_no_boxes_overlap_and_lines_run_forward(browser):
    overlaps = """(() => {
      const seen = [...document.querySelectorAll('.box > .shape')].map((e) => e.getBoundingClientRect());
      let count = 0;
      seen.forEach((p, i) => seen.slice(i + 1).forEach((q) => {
        if (p.x < q.right && q.x < p.right && p.y < q.bottom && q.y < p.bottom) count += 1; }));
      return count;
    })()"""
    for button in ("open-all", "close-all", "reset"):
        browser.run(f"document.getElementById('{button}').click()")
        assert browser.run(overlaps) == 0
    rising = """data.lines.filter(([tail, head, again]) => !again
        && drawn.at.has(tail) && drawn.at.has(head)
        && drawn.at.get(tail).y >= drawn.at.get(head).y).length"""
    browser.run("document.getElementById('open-all').click()")
    assert browser.run(rising) == 0


@needs_browser
@pytest.mark.parametrize("direction", ["TB", "LR", "BT", "RL"])
def test_every_direction_and_any_name(tmp_path, browser, page, direction):
    name = "</script><b>|\"{'&손실\n\\"
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    path = tmp_path / "odd.html"
    picture = mg.make_dot({name: mg.sin(w * w).sum()}, {name: w}, direction=direction)
    picture.save(path)
    browser.go(path)
    assert not browser.errors
    assert boxes(browser) == 5
    assert browser.run("boxes.filter((b) => b.full.includes('</script><b>')).length") == 2
    browser.go(page)


@needs_browser
@pytest.mark.parametrize(
    ("direction", "axis", "sign"), [("TB", 1, 1), ("LR", 0, 1), ("BT", 1, -1), ("RL", 0, -1)]
)
def test_the_picture_runs_in_its_direction(tmp_path, browser, page, direction, axis, sign):
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    x = mg.ones((1, 2))
    path = tmp_path / "direction.html"
    params = dict(model.named_parameters(), x=x)
    mg.make_dot({"y": model(x)}, params, direction=direction).save(path)
    browser.go(path)
    browser.run("document.getElementById('open-all').click()")
    names = ("'x'", "'linear'", "'tanh'", "'y'")
    places = [
        browser.middle(f"""[...document.querySelectorAll('.box')].find(
            (e) => e.querySelector('.name').textContent === {name})""")
        for name in names
    ]
    along = [sign * place[axis] for place in places]
    assert along == sorted(along)
    assert len(set(along)) == 4
    # Each arrow starts and ends at the edge of a box, on the side that faces the other.
    ends = browser.run("""data.lines.map(([tail, head]) => {
      const path = document.querySelector(`path[data-from="${tail}"][data-to="${head}"]`);
      const [p, q] = [path.getPointAtLength(0), path.getPointAtLength(path.getTotalLength())];
      const [u, v] = [drawn.at.get(tail), drawn.at.get(head)];
      const inside = (p, b) => p.x > b.x - 1 && p.x < b.x + b.w + 1 && p.y > b.y - 1 && p.y < b.y + b.h + 1;
      const middle = (b) => [b.x + b.w / 2, b.y + b.h / 2];
      return [inside(p, u) && inside(q, v), [[...middle(u)], [p.x, p.y], [q.x, q.y], [...middle(v)]]];
    })""")
    for touches, points in ends:
        assert touches
        middle, start, end, other = (sign * point[axis] for point in points)
        assert middle + 5 < start < end < other - 5
    # Modules enclose what is in them, with room for the title at the top.
    enclosed = browser.run("""groups.flatMap((g, i) => !i ? [] : g.children.map((c) => {
      const [p, q] = [drawn.at.get(n + i), drawn.at.get(c)];
      return q.x >= p.x + 8 && q.y >= p.y + 30 && q.x + q.w <= p.x + p.w - 8 && q.y + q.h <= p.y + p.h - 8;
    }))""")
    assert len(enclosed) > 6
    assert all(enclosed)
    browser.go(page)


@needs_browser
def test_a_repeated_block_and_a_gradient(tmp_path, browser, page):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x
    for _ in range(20):
        y = mg.sin(y) * 1.5
    y = y.sum()
    y.backward(create_graph=True)
    path = tmp_path / "second.html"
    mg.make_dot(x.grad).save(path)
    browser.go(path)
    assert not browser.errors
    text = browser.run("document.getElementById('picture').textContent")
    assert text.count("× 19") == 2  # forwards, and backwards
    assert "gradient operator" in browser.run("document.getElementById('legend').textContent")
    browser.go(page)
