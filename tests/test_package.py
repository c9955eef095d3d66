"""The package as a whole: quick to import, lazy, in float64, its arrows pointing one way."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import glacierbayes

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "glacierbayes"


def _python(code: str, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True)


def _imports(file: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def test_import_takes_under_half_a_second():
    def seconds() -> float:
        lines = _python("import glacierbayes", "-X", "importtime").stderr.splitlines()
        (line,) = (line for line in lines if line.split("|")[-1].strip() == "glacierbayes")
        return int(line.split("|")[1]) / 1e6

    assert min(seconds() for _ in range(3)) < 0.5


def test_import_brings_nothing_heavy():
    loaded = set(_python("import glacierbayes, sys; print(*sys.modules)").stdout.split())
    assert not loaded & {"jax", "numpy", "numpyro", "arviz", "xarray", "matplotlib", "oggm", "equinox"}


@pytest.mark.parametrize("first", ["import jax, glacierbayes", "import glacierbayes, jax"])
def test_import_turns_on_float64(first):
    assert _python(f"{first}; print(jax.numpy.ones(1).dtype)").stdout.strip() == "float64"


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
    importing = {str(f.relative_to(ROOT)) for f in files if any(m.split(".")[0] == "oggm" for m in _imports(f))}
    assert importing <= {"glacierbayes/data/oggm.py"}


@pytest.mark.parametrize(
    ("folder", "barred"),
    [
        ("physics", ("numpyro", "diffrax", "glacierbayes.solvers", "glacierbayes.inference", "glacierbayes.data")),
        ("laws", ("numpyro", "diffrax", "glacierbayes.solvers", "glacierbayes.inference", "glacierbayes.data")),
        ("solvers", ("numpyro", "glacierbayes.inference", "glacierbayes.observations", "glacierbayes.data")),
        ("observations", ("numpyro.infer", "glacierbayes.inference", "glacierbayes.data")),
        ("data", ("numpyro.infer", "glacierbayes.inference")),
        (
            "draws",
            ("numpyro", "blackjax", "glacierbayes.inference", "glacierbayes.observations", "glacierbayes.report"),
        ),
        (
            "report",
            ("numpyro", "blackjax", "glacierbayes.inference", "glacierbayes.observations", "glacierbayes.glacier"),
        ),
    ],
)
def test_arrows_point_one_way(folder, barred):
    for file in (PACKAGE / folder).rglob("*.py"):
        wrong = {m for m in _imports(file) if any(m == bar or m.startswith(f"{bar}.") for bar in barred)}
        assert not wrong, f"{folder}/{file.name} imports {sorted(wrong)}"


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
