"""The package as a whole: quick to import, lazy, in float64, its arrows pointing one way."""

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

import glacierbayes

from .import_graph import (
    MODULES,
    PACKAGE,
    ROOT,
    allowed_imports,
    child_graph,
    circles,
    file_graph,
    imports_of,
    reachable,
    room,
    room_graph,
)

WITHOUT_NUMPYRO = ("physics", "laws", "functions", "numerics", "solvers", "draws", "report")
FOLDERS = sorted(name for name, file in MODULES.items() if file.name == "__init__.py")


def _python(code: str) -> subprocess.CompletedProcess:
    """Runs code in a new interpreter, without the float64 that the tests themselves have set from outside."""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)


@pytest.mark.run
def test_import_brings_nothing_heavy():
    loaded = set(_python("import glacierbayes, sys; print(*sys.modules)").stdout.split())
    assert not loaded & {"jax", "numpy", "numpyro", "arviz", "xarray", "matplotlib", "oggm", "equinox"}


@pytest.mark.run
@pytest.mark.parametrize("first", ["import jax, glacierbayes", "import glacierbayes, jax"])
def test_import_turns_on_float64(first):
    assert _python(f"{first}; print(jax.numpy.ones(1).dtype)").stdout.strip() == "float64"


@pytest.mark.run
def test_numpyro_is_whole_after_arviz():
    """ArviZ leaves a lazy numpyro behind, whose distributions would be made twice."""
    imports = "import arviz, glacierbayes; import numpyro.distributions; import numpyro"
    assert _python(f"{imports}; print(numpyro.distributions.distribution.Unit(0.0).log_prob(0.0))").stdout


@pytest.mark.parametrize("name", glacierbayes.__all__)
def test_public_name_is_there(name):
    assert getattr(glacierbayes, name) is not None
    assert name in dir(glacierbayes)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = glacierbayes.no_such_name


def test_stub_names_what_the_package_names():
    names = set()
    for node in ast.parse((PACKAGE / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    assert names - {"__all__"} == set(glacierbayes.__all__)
    assert (PACKAGE / "py.typed").exists()


def test_only_one_file_imports_oggm():
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "models").glob("*.py")]
    importing = {str(f.relative_to(ROOT)) for f in files if any(m.split(".")[0] == "oggm" for m in imports_of(f))}
    assert importing == {"glacierbayes/data/oggm.py"}


def test_rooms_import_what_the_table_in_contributing_allows():
    """Both ways: an arrow that is not in the table fails, and one in the table that no file needs."""
    allowed, found = allowed_imports((ROOT / "CONTRIBUTING.md").read_text()), room_graph()
    assert allowed.keys() == found.keys(), "rooms and rows of the table"
    for name, used in found.items():
        too_many = used - allowed[name]
        files = [m for m, others in file_graph().items() if room(m) == name and {room(o) for o in others} & too_many]
        assert not too_many, f"{name} may not import {sorted(too_many)}; {files} does"
        unused = allowed[name] - used
        assert not unused, f"{name} imports no {sorted(unused)}; take it out of the table in CONTRIBUTING.md"


def test_no_circle_of_files():
    assert circles(file_graph()) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_circle_inside_a_folder(folder):
    assert circles(child_graph(folder)) == []


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]


@pytest.mark.parametrize("name", WITHOUT_NUMPYRO)
def test_room_needs_no_sampler(name):
    """Neither by itself nor through another file: no NumPyro, no BlackJAX, no room that samples."""
    files = reachable((module for module in MODULES if room(module) == name), file_graph())
    for module in files:
        outside = {one.split(".")[0] for one in imports_of(MODULES[module])}
        assert not outside & {"numpyro", "blackjax"}, f"{name} needs {module}, which imports a sampler"
    assert not {room(module) for module in files} & {"inference", "priors", "sites", "observations"}


def test_models_import_the_public_names_only():
    for file in (ROOT / "models").glob("*.py"):
        tree = ast.parse(file.read_text())
        names = [(n.module, a.name) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names]
        ours = [(module, name) for module, name in names if str(module).startswith("glacierbayes")]
        assert all(module == "glacierbayes" and name in glacierbayes.__all__ for module, name in ours), file.name


def test_constraints_hold_names_and_versions_that_meet_the_floors():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in (line.split("==") for line in lines)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for text in [*project["dependencies"], *(text for extra in extras for text in extra)]:
        wanted = Requirement(text)
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        assert pinned[name] in wanted.specifier
        assert {clause.operator for clause in wanted.specifier} == {">="}, f"{text}: floors only"


def test_one_version_everywhere():
    version = glacierbayes.__version__
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
