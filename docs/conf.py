"""How Sphinx builds the documentation: `make docs`. It needs no network."""

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any, ClassVar

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import course  # noqa: E402
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
html_static_path = ["_static"]
html_css_files = ["site.css", "versions.css"]
html_js_files = ["enlarge.js", "versions.js"]
html_favicon = "_static/favicon.svg"
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
    """Docstrings are plain text with ``code``."""
    example = False
    for i, line in enumerate(lines):
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if not example:
            lines[i] = marked(line)


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


def say_language(_app: Any, page: str, _template: Any, context: dict[str, Any], _: Any) -> None:
    """Browsers and screen readers learn which pages are Korean; lines break between words."""
    if page.startswith("ko/"):
        context["language"] = "ko"
        context["metatags"] += "<style>body { word-break: keep-all }</style>"


def setup(app: Any) -> None:
    app.add_directive("names", Names)
    for package in ("torch", "onnx"):  # Python that the tests run where the package is installed
        app.add_lexer(package, PythonLexer)
    app.connect("autodoc-process-docstring", literal_marks)
    app.connect("builder-inited", ship_mathjax)
    app.connect("build-finished", make_pictures)
    app.connect("html-page-context", say_language)
