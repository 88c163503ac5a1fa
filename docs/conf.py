"""How Sphinx builds the documentation: `make docs`. It needs no network."""

import html
import importlib.util
import os
import re
import shutil
import sys
import urllib.parse
from pathlib import Path
from typing import Any, ClassVar

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import course  # noqa: E402
import docutils.nodes  # noqa: E402
import docutils.statemachine  # noqa: E402
import live  # noqa: E402
from public_names import group, marked, reference  # noqa: E402
from pygments.lexers.python import PythonLexer  # noqa: E402
from sphinx.util.docutils import SphinxDirective  # noqa: E402

project = "minigrad"
author = "The minigrad developers"
copyright = author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
mathjax_path = "mathjax/tex-chtml.js"  # shipped with the site, see ship_mathjax
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "minigrad"
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["site.css", "versions.css"]
html_js_files = ["site.js", "versions.js"]
html_theme_options = {"top_of_page_buttons": []}  # the source of a page says no more than the page
html_favicon = "_static/favicon.svg"
html_baseurl = os.environ.get("DOCS_URL", "")  # where the site will stand, with a slash at its end
html_split_index = True  # one page of all is too long to be read
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_typehints_description_target = "all"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # dtype=np.float32, not <class 'numpy.float32'>
autodoc_default_options = {"exclude-members": "extra_repr"}  # for repr() only


class Names(SphinxDirective):
    """``.. names:: where``, with the defining modules as content; a part of them by letters."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"first": str, "last": str}

    def run(self) -> list[Any]:
        origins = [word for line in self.content for word in line.split()]
        where = self.arguments[0]
        lines = reference(where, group(where, origins, **self.options))
        return self.parse_text_to_nodes(
            docutils.statemachine.StringList(lines, f"the names of {where}"),
            allow_section_headings=False,
        )


def literal_marks(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: Any) -> None:
    """Docstrings are plain text with ``code``, `formulas` and examples."""
    blocks = re.split(r"\n(?=\s*\n)", "\n".join(lines))
    for i, block in enumerate(blocks):
        text, *example = re.split(r"^(?=\s*>>>)", block, maxsplit=1, flags=re.MULTILINE)
        blocks[i] = marked(text) + "".join(example)
    lines[:] = "\n".join(blocks).split("\n")


def ship_mathjax(app: Any) -> None:
    """Formulas are set without network: MathJax and its fonts stand beside the pages."""
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if app.builder.format == "html" and package is not None:
        (folder,) = package.submodule_search_locations or ()
        source = Path(folder) / "static" / "mathjax"
        target = Path(app.outdir) / "_static" / "mathjax"
        for part in ("tex-chtml.js", "output/chtml/fonts/woff-v2"):
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            copy: Any = shutil.copytree if (source / part).is_dir() else shutil.copy
            copy(source / part, target / part, **({"dirs_exist_ok": True} if "/" in part else {}))


def make_pictures(app: Any, exception: Exception | None) -> None:
    """The site shows what the code of this version draws; pages read elsewhere, the files kept."""
    if exception is None and app.builder.format == "html":
        out = Path(app.outdir) / app.builder.imagedir
        course.make_pictures(out, suffixes=(".png", ".svg", ".html"))
        live.make_live(out)
        (Path(app.outdir) / "genindex-all.html").unlink(missing_ok=True)


DESCRIPTION = "Automatic differentiation on NumPy: gradients of any order, proven and drawn."


def describe(_app: Any, page: str, _template: Any, context: dict[str, Any], doctree: Any) -> None:
    """What a page says of itself to browsers, screen readers, and those who link to it."""
    if page.startswith("ko/"):  # lines break between words
        context["language"] = "ko"
    title = re.sub("<[^>]*>", "", html.unescape(context.get("title") or project))
    text = (summary(doctree) if doctree is not None else "") or f"{title}. {DESCRIPTION}"
    image = context["pathto"]("_static/social.png", 1)
    tags = {
        ("name", "description"): text,
        ("property", "og:type"): "website",
        ("property", "og:site_name"): project,
        ("property", "og:title"): title,
        ("property", "og:description"): text,
        ("property", "og:image"): urllib.parse.urljoin(context.get("pageurl") or "", image),
        ("property", "og:image:alt"): "a computation, and the way back through it",
        ("name", "twitter:card"): "summary_large_image",
    }
    context["metatags"] = context.get("metatags", "") + "".join(
        f'<meta {kind}="{name}" content="{html.escape(content)}">'
        for (kind, name), content in tags.items()
    )
    menu, heading = context.get("furo_navigation_tree", ""), 'role="heading"'  # without a level
    context["furo_navigation_tree"] = menu.replace(heading, f'{heading} aria-level="2"')
    if page == "_modules/index":  # a list in which lists stand that are no items
        first, *inner, last = re.split("(?=</?ul>)", context["body"])
        context["body"] = first + inner[0] + re.sub("</?ul>", "", "".join(inner[1:])) + last


def summary(doctree: Any, longest: int = 200) -> str:
    """The first paragraph in words, up to the end of a sentence or of a word."""
    for paragraph in doctree.findall(docutils.nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        stands_alone = isinstance(paragraph.parent, docutils.nodes.section) and len(text) > 30
        if stands_alone and not any(paragraph.findall(docutils.nodes.math)):
            if len(text) <= longest:
                return text
            sentence = text[:longest].rpartition(". ")[0]
            return f"{sentence}." if sentence else text[:longest].rpartition(" ")[0] + " ..."
    return ""


def setup(app: Any) -> None:
    app.add_directive("names", Names)
    for package in ("torch", "onnx"):  # Python that the tests run where the package is installed
        app.add_lexer(package, PythonLexer)
    app.connect("autodoc-process-docstring", literal_marks)
    app.connect("builder-inited", ship_mathjax)
    app.connect("build-finished", make_pictures)
    app.connect("html-page-context", describe, priority=900)  # after the theme has made its menu
