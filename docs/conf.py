"""How Sphinx builds the documentation: ``python -m sphinx -W --keep-going docs docs/_build/html``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS), str(DOCS.parent / "scripts")]
# The tutorial's console lines say `python`, and mean the one that builds.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ["PYTHONPATH"] = os.pathsep.join([str(DOCS.parent), os.environ.get("PYTHONPATH", "")])

import generate  # noqa: E402
from sphinx.util.nodes import make_refnode  # noqa: E402
from update_readme import fill_tables  # noqa: E402

import sb3_lander  # noqa: E402

project = "sb3-lander"
author = "The sb3-lander authors"
copyright = f"2026, {author}"
release = version = sb3_lander.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build", "examples", "generated/*.md"]
html_theme = "furo"
html_title = f"sb3-lander {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {"source_directory": "docs/"}
html_show_sphinx = False
pygments_style = "friendly"
smartquotes = False  # they would make one dash of the two before an option

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

# The tutorial trains for some seconds each time. `-D nb_execution_mode=off` builds without it, for a look at the text.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 600  # for a cell; a busy machine takes its time
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"


def _read(app: Any, docname: str, source: list[str]) -> None:
    """Fill what stands between markers, such as ``<!-- final -->``, from the committed results."""
    source[0] = fill_tables(source[0])


def _resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Find ``sb3_lander.room.module.Name`` where the reference has it: as ``sb3_lander.room.Name``."""
    parts = str(node.get("reftarget", "")).split(".")
    if node.get("refdomain") != "py" or len(parts) < 3 or parts[0] != "sb3_lander":
        return None
    target = ".".join(parts[:2] + parts[3:])
    if (found := env.domains["py"].objects.get(target)) is None:
        return None
    return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, content, target)


def setup(app: Any) -> None:
    """Generate the reference's tables and the figures before anything is read."""
    app.connect("builder-inited", lambda app: generate.main())
    app.connect("source-read", _read)
    app.connect("missing-reference", _resolve)
