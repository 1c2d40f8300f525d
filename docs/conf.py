"""The documentation site: ``sphinx-build -W docs build/site`` (extra ``docs``)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_extensions")]

from rx_cometd import __version__  # noqa: E402 - the path has to be set

project = "rx_cometd"
author = "The rx_cometd developers"
project_copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "marble",
    "message_flow",
    "state_machine",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_extensions"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

default_role = "py:obj"
autodoc_default_options = {"members": True, "show-inheritance": True}
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Errors", "returns_style")]

html_theme = "furo"
html_title = "rx_cometd"
html_static_path = ["_static"]
html_css_files = ["pictures.css"]
html_copy_source = False


def _leave_out_aliases(*event: Any) -> None:
    """Leave out what Python says of the fields of named tuples that have no docstring."""
    lines: list[str] = event[-1]
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def _link_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Resolve what a docstring calls by its last name, if only one public name ends with it."""
    if node["refdomain"] != "py":
        return None
    python = env.domains.python_domain
    found = [
        (name, entry)
        for name, entry in python.find_obj(env, "", "", node["reftarget"], None, searchmode=1)
        if not entry.aliased
    ]
    if len(found) != 1:
        return None
    name, entry = found[0]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _leave_out_aliases)
    app.connect("missing-reference", _link_by_last_name)
