"""Sphinx: the pages are Markdown (MyST); the reference of commands, settings and names is written from the code."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent.parent))

from docs.generated import write_reference

project = "kmnist"
author = "the authors of kmnist"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "reference/public.md"]
html_theme = "furo"
html_title = "kmnist"
html_show_copyright = False
html_css_files = ["wide.css"]
html_static_path = ["_static"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
# The types of other packages are named, not linked: to look their pages up needs a network.
nitpick_ignore_regex = [("py:.*", r".*")]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda app: write_reference(Path(app.srcdir) / "reference"))
