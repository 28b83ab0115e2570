"""The layout that sb3_lander/__init__.py promises: imports run downwards only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from conftest import REPO

PACKAGE = REPO / "sb3_lander"


def documented_order() -> list[str]:
    docstring = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text())) or ""
    return re.findall(r"^    (\w+) +\S", docstring, flags=re.MULTILINE)


def imported_modules(path: Path) -> set[str]:
    """Return the modules of this package that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
        found |= {name.split(".")[1] for name in names if name.startswith("sb3_lander.")}
    return found


def test_the_map_in_the_packages_docstring_names_every_module() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    order = documented_order()
    assert set(order) == modules
    assert len(order) == len(modules)


def test_imports_run_downwards_only() -> None:
    order = documented_order()
    for position, module in enumerate(order):
        above = imported_modules(PACKAGE / f"{module}.py") & set(order[position:])
        assert not above, f"{module} imports {above}, which the map places at its own height or above it"


def test_a_module_is_short_enough_to_read_in_one_go() -> None:
    too_long = {path.name: len(path.read_text().splitlines()) for path in PACKAGE.glob("*.py")}
    assert {name: lines for name, lines in too_long.items() if lines > 300} == {}


def test_every_module_says_what_it_is_in_one_line() -> None:
    for path in PACKAGE.glob("*.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        assert docstring, path
        assert docstring.splitlines()[0].endswith("."), path
