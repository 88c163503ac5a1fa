"""The pictures of the Korean pages: those that the chapters draw, with their words in Korean.

While :func:`twins` is open, each figure with words in it that is saved as ``name.png`` is saved as
``name-ko.svg`` too. Its text stays text, so that making it needs no Korean font: the reader's
browser has one. The page of a film, ``name.html``, has a twin ``name-ko.html``.
"""

import contextlib
import logging
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import minigrad as mg

LABELS = {
    "the line, after some steps": "몇 단계 뒤의 직선",
    "the loss": "손실",
    "loss": "손실",
    "step": "단계",
    "epoch": "에포크",
    "layer": "층",
    "learning rate": "학습률",
    # layers
    "uniform ±0.05": "균등 ±0.05",
    "normal, std 1": "정규, 표준 편차 1",
    "size of the activations": "활성값의 크기",
    "loss on the digits": "숫자 데이터의 손실",
    # optimizers
    "momentum": "모멘텀",
    "loss, each with its best rate": "저마다 가장 좋은 학습률일 때의 손실",
    "loss at the end": "마지막 손실",
    # regularisation
    "known images": "학습한 이미지",
    "new images": "새 이미지",
    # convolution
    "digit": "숫자",
    "upright edges": "세로 윤곽선",
    "lying edges": "가로 윤곽선",
    "kernel": "커널",
    "× patches": "× 패치",
    "= sums": "= 합",
    "windows": "창",
    "largest": "가장 큰 값",
    "mean": "평균",
    "gradient of the largest": "가장 큰 값의 기울기",
    # deep-convnet
    "before": "학습 전",
    "after": "학습 후",
    "10 × change": "변화량 × 10",
    # family
    "plain": "단순",
    "residual": "잔차",
    "plain, normalised": "단순, 배치 정규화",
    "residual, normalised": "잔차, 배치 정규화",
    "gradient at the first layer": "첫 층의 기울기",
    "convolutions": "합성곱의 수",
    "loss, with 21 convolutions": "합성곱 21개일 때의 손실",
    # parallel
    "loss on new images": "새 이미지의 손실",
}
#: Labels with numbers in them.
FORMS = {
    r"rate (\S+)": r"학습률 \1",
    r"layer (\d+)": r"\1번째 층",
    r"size (\S+)": r"크기 \1",
    r"loss; at the end (\S+) of the test right": r"손실, 마지막에 시험 이미지의 \1를 맞힘",
    r"nothing: (\S+) of new right": r"그대로: 새 이미지 \1 정답",
    r"dropout: (\S+) of new right": r"드롭아웃: 새 이미지 \1 정답",
    r"(L2): (\S+) of new right": r"\1: 새 이미지 \2 정답",
    r"batch (\d+), rate (\S+)": r"배치 \1, 학습률 \2",
    r"batch (\d+), warm-up to (\S+)": r"배치 \1, \2까지 웜업",
    r"(\d+) of (\S+) wrong": r"\2개 가운데 \1개를 틀림",
    r"(\d+) of (\S+) wrong, the (\d+) most confident": r"\2개 가운데 \1개를 틀림, 가장 확신한 \3개",
    r"(\d+), not (\d+)": r"\1 (정답 \2)",
}
#: What is the same in every language.
NAME = re.compile(r"[xy]|He|Xavier|SGD|NAG|Ada\w+|RMSProp|features\.\d+.*|\$.*\$|[^A-Za-z]*")
#: One of these is at hand where Korean is read.
FONTS = [
    "Noto Sans KR", "Noto Sans CJK KR", "Apple SD Gothic Neo", "Malgun Gothic", "NanumGothic",
    "UnDotum", "sans-serif",
]  # fmt: skip


def korean(label: str) -> str:
    """The label in Korean. Raises ValueError for one that nobody has translated."""
    if label in LABELS:
        return LABELS[label]
    for form, translated in FORMS.items():
        if found := re.fullmatch(form, label):
            return found.expand(translated)
    if NAME.fullmatch(label):
        return label
    raise ValueError(f"docs/korean_labels.py: there is no Korean for the label {label!r}")


@contextlib.contextmanager
def twins() -> Generator[None]:
    """Save each figure and each film a second time, in Korean."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    save = Figure.savefig
    save_film = mg.film.save

    def save_both(figure: Any, path: Any, **options: Any) -> None:
        save(figure, path, **options)
        labels = [text.get_text() for text in figure.findobj(Text)]
        if all(korean(label) == label for label in labels):
            return
        with _in_korean(figure):
            twin = Path(path).with_name(f"{Path(path).stem}-ko.svg")
            save(figure, twin, metadata={"Date": None, "Creator": None})

    def save_both_films(film: Any, path: Any, params: Any = None) -> str:
        saved = Path(save_film(film, path, params))
        page = film_in_korean(saved.read_text(encoding="utf-8"))
        saved.with_name(f"{saved.stem}-ko.html").write_text(page, encoding="utf-8")
        return str(saved)

    with (
        patch.object(Figure, "savefig", save_both),
        patch.object(mg.film, "save", save_both_films),
    ):
        yield


def film_in_korean(page: str) -> str:
    """The page of a film, with the script that translates its words."""
    script = Path(__file__).with_name("korean_player.js").read_text(encoding="utf-8")
    body, end, rest = page.rpartition("</body>")
    return body.replace('<html lang="en">', '<html lang="ko">', 1) + (
        f'<script type="module">\n{script}</script>\n{end}{rest}'
    )


@contextlib.contextmanager
def _in_korean(figure: Any) -> Generator[None]:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import RendererSVG
    from matplotlib.text import Text

    measure = RendererSVG.get_text_width_height_descent
    texts = [(text, text.get_text()) for text in figure.findobj(Text)]
    fonts = logging.getLogger("matplotlib.font_manager")
    level = fonts.level

    def as_wide(renderer: Any, s: str, prop: Any, ismath: Any) -> Any:
        return measure(renderer, re.sub("[가-힣]", "M", s), prop, ismath)

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "minigrad"}
    fonts.setLevel(logging.ERROR)  # it need not have those fonts
    try:
        with (
            mpl.rc_context(settings),
            patch.object(RendererSVG, "get_text_width_height_descent", as_wide),
        ):
            for text, label in texts:
                if korean(label) != label:
                    text.set(text=korean(label), fontfamily=FONTS)
            yield
    finally:
        fonts.setLevel(level)
        for text, label in texts:
            text.set(text=label, fontfamily=None)
