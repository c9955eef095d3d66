"""What every test shares. The package itself is not imported here: jaxtyping's hook has to come first."""

import gc
import importlib.util
import os
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

os.environ["JAX_ENABLE_X64"] = "1"
os.environ["MPLBACKEND"] = "Agg"
# Most of the time of a test is that of compiling small programs which run for milliseconds: half as long without the
# passes that make long runs fast. What one worker or process of the session has compiled serves the others; the
# controller of pytest-xdist comes here first, and its workers find the folder in their environment.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
if "PYTEST_XDIST_WORKER" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory(prefix="glacierbayes-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE.name
# tracing makes millions of objects that live long: a tenth of its time went into looking for garbage among them
gc.set_threshold(200_000, 50, 1000)

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
