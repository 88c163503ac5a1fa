"""How Sphinx builds the documentation: `make docs`. It needs no network."""

project = "minigrad"
author = "The minigrad developers"
copyright = author

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
myst_heading_anchors = 3
