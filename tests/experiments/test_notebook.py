"""The notebook runs from its first cell to its last, on a coarse grid with few draws."""

import json
from pathlib import Path

import matplotlib
import pytest

NOTEBOOK = Path(__file__).parents[2] / "experiments" / "sliding_law_aletsch.ipynb"


@pytest.mark.run
@pytest.mark.slow  # it compiles for minutes
@pytest.mark.timeout(1800)
def test_the_notebook_runs(tmp_path, monkeypatch, data_dir):
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    parameters = {
        "FOLDER": data_dir / "RGI60-11.01450",
        "RESOLUTION": 800.0,
        "OUTPUT": tmp_path / "draws.nc",
        "SETTINGS": {"method": "nuts", "chains": 2, "warmup": 4, "draws": 4, "seed": 1},
    }
    names: dict = {}
    matplotlib.use("Agg")
    for cell in cells:
        exec("".join(line for line in cell["source"] if not line.startswith("%")), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert set(parameters) <= set(names)
            names |= parameters
    assert len(names["table"]) == 30 and names["table"]["cells"].sum() > 0
    slope = names["draws"]["constant_data"]["slope"]
    assert slope.dims == ("y", "x") and slope.attrs["units"] == "1"
