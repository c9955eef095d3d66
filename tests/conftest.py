"""What every test shares. The package itself is not imported here: jaxtyping's hook has to come first."""

import importlib.util
import os
import sys
import warnings
from pathlib import Path

import pytest

os.environ["JAX_ENABLE_X64"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # a test compiles what it tests

ROOT = Path(__file__).parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("oggm") is None:
        for item in items:
            if item.get_closest_marker("oggm"):
                item.add_marker(pytest.mark.skip(reason="needs the extra glacierbayes[oggm]"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real glaciers, one OGGM directory each."""
    folder = Path(os.environ.get("GLACIERBAYES_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real glaciers at {folder}; name their folder in GLACIERBAYES_DATA")
    return folder


@pytest.fixture
def oggm(tmp_path, monkeypatch):
    """OGGM, imported and set up without a network and away from the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))  # the import writes there
    if importlib.util.find_spec("salem") is not None:
        monkeypatch.setitem(sys.modules, "salem", None)  # its import wants the network
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import oggm
        from oggm import cfg

        cfg.initialize_minimal(logging_level="CRITICAL")
        yield oggm
