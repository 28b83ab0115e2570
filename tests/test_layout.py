"""The layout that sb3_lander/__init__.py promises: rooms, and imports that run one way."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

from conftest import REPO

PACKAGE = REPO / "sb3_lander"
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE / "moved"]


def name_of(path: Path) -> str:
    """Return a module's dotted name below the package: ``envs.selection``, or ``envs`` for a room's ``__init__``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def documented_order() -> list[str]:
    docstring = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text())) or ""
    return re.findall(r"^    (\w+) +\S", docstring, flags=re.MULTILINE)


def imported_modules(path: Path) -> set[str]:
    """Return what a module imports of this package, anywhere in it: modules and names in them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return {name.removeprefix("sb3_lander.") for name in found if name.startswith("sb3_lander.")}


def test_the_map_names_every_room() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert set(documented_order()) == rooms
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_imports_between_rooms_run_one_way() -> None:
    order = documented_order()
    for path in MODULES:
        room = name_of(path).split(".")[0]
        if room not in order:
            continue
        above = {name.split(".")[0] for name in imported_modules(path)} & set(order[order.index(room) + 1 :])
        assert not above, f"{name_of(path)} imports from {above}, which the map places above {room}"


def test_imports_inside_a_room_run_one_way() -> None:
    names = {name_of(path) for path in MODULES}
    graph = {name_of(path): imported_modules(path) & names for path in MODULES if path.name != "__init__.py"}
    assert list(TopologicalSorter(graph).static_order())


def test_a_room_has_at_most_nine_modules() -> None:
    for room in PACKAGE.iterdir():
        assert len(set(room.glob("*.py")) - {room / "__init__.py"}) <= 9, room


def test_a_module_is_short_enough_to_read_in_one_go() -> None:
    too_long = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in too_long.items() if lines > 300} == {}


def test_every_module_says_what_it_is_in_one_line() -> None:
    for path in MODULES:
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        assert docstring, path
        assert docstring.splitlines()[0].endswith("."), path


def test_a_rooms_public_names_are_in_its_modules() -> None:
    import importlib

    for room in documented_order():
        module = importlib.import_module(f"sb3_lander.{room}")
        for name in getattr(module, "__all__", ()):
            assert getattr(module, name) is not None
