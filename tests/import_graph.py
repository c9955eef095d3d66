"""The imports between the files of the package, read from their source without importing anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "glacierbayes"
Graph = dict[str, set[str]]


def module_name(file: Path) -> str:
    """The dotted name of a file of the package, such as "glacierbayes.laws.glen"."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports_of(file: Path) -> set[str]:
    """Every module that a file imports, wherever in it: inside functions and under TYPE_CHECKING too.

    `from package import module` counts as the module, `from package import name` as the package.
    """
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{file} has a relative import, expected an absolute one"
            names = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found.update(full if full in MODULES else node.module for full in names.values())
    return found


def room(module: str) -> str:
    """The top-level file or folder of a module; `__init__` for the package itself."""
    return module.split(".")[1] if "." in module else "__init__"


def file_graph() -> Graph:
    """Every module of the package with the modules of the package that it imports."""
    return {name: (imports_of(file) & MODULES.keys()) - {name} for name, file in MODULES.items()}


def room_graph() -> Graph:
    """Every room with the rooms that it imports."""
    return child_graph(PACKAGE.name)


def child_graph(folder: str) -> Graph:
    """The files and folders directly inside a folder, and which of them import which; `__init__` is one of them."""
    depth = folder.count(".") + 1

    def child(module: str) -> str:
        parts = module.split(".")
        return parts[depth] if len(parts) > depth else "__init__"

    inside = {name: used for name, used in file_graph().items() if f"{name}.".startswith(f"{folder}.")}
    found: Graph = {child(name): set() for name in inside}
    for name, used in inside.items():
        found[child(name)] |= {child(other) for other in used if other in inside} - {child(name)}
    return found


def reachable(start: Iterable[str], graph: Mapping[str, set[str]]) -> set[str]:
    """All modules that some modules import, directly or through others, and these modules themselves."""
    found, waiting = set(), list(start)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(graph[name])
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Every strongly connected component of more than one member."""
    reached = {name: reachable(graph[name], graph) for name in graph}
    mutual = {name: sorted({name} | {o for o in reached[name] if name in reached[o]}) for name in graph}
    return [list(one) for one in sorted({tuple(names) for names in mutual.values() if len(names) > 1})]


def allowed_imports(page: str) -> Graph:
    """The table of rooms in CONTRIBUTING.md: rows `| room | what it holds | rooms that it may import |`."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([^|]*)\|$", page, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", used)) for name, used in rows}
