"""Bad input through the real command line: status 2, at most three lines, nothing left behind."""

from pathlib import Path

import numpy as np
import pytest

from glacierbayes.cli import main

from .data.directories import Folder, climate
from .data.edits import one_cell, put, setting, shifted, uneven, units, without

INFER = ["infer", "creep", "{folder}", "--resolution", "100", "--output", "{here}/out.nc"]


def gridded(change):
    return lambda folder: folder.edit(change)


def short_climate(folder: Folder):
    folder.edit(lambda _: climate("2004-10-01", 12 * 10 + 3), "climate_historical.nc")


def nothing_observed(folder: Folder):
    folder.edit(without(["millan_vx", "millan_vy"]))
    (folder.path / "mb_calib.json").unlink()


def broken_model(folder: Folder):
    (folder.path.parent / "broken.py").write_text("def model(glacier observations):\n    return\n")


def untouched(folder: Folder):
    return folder


def with_model(name: str) -> list[str]:
    return [INFER[0], name, *INFER[2:]]


CASES = {
    "missing file": (lambda folder: (folder.path / "gridded_data.nc").unlink(), INFER, ["gridded_data.nc"]),
    "missing folder": (untouched, ["infer", "creep", "{here}/absent"], ["absent"]),
    "missing variable": (gridded(without("topo")), INFER, ["topo", "missing"]),
    "wrong units": (gridded(units("consensus_ice_thickness", "km")), INFER, ["consensus_ice_thickness", "'km'"]),
    "NaN in the bed": (gridded(setting("topo", put(np.nan, slice(0, 3), 0))), INFER, ["topo", "3 of 858 cells"]),
    "no ice": (gridded(setting("consensus_ice_thickness", lambda v: v * 0)), INFER, ["no ice"]),
    "one-cell glacier": (gridded(setting("glacier_mask", one_cell)), INFER, ["1 cells", "at least 4"]),
    "outline at the border": (gridded(setting("glacier_mask", put(1, slice(0, 9), 12))), INFER, ["border"]),
    "TemperatureIndex, short climate": (
        short_climate,
        [*INFER, "--option", "balance=TemperatureIndex"],
        ["climate", "2005", "2014"],
    ),
    "nothing to learn from": (nothing_observed, INFER, ["no observation that the model can use", "millan_vx"]),
    "unknown model": (untouched, with_model("crepe"), ["crepe", "creep_and_sliding"]),
    "syntax error in the model": (broken_model, with_model("{here}/broken.py"), ["broken.py", "line 1"]),
    "unknown option": (untouched, [*INFER, "--option", "colour=1"], ["colour"]),
    "output folder missing": (untouched, [*INFER[:-1], "{here}/absent/out.nc"], ["absent"]),
    "corrupt NetCDF": (
        lambda folder: (folder.path / "gridded_data.nc").write_bytes(b"CDF and no more"),
        INFER,
        ["gridded_data.nc"],
    ),
    "finer than the data": (untouched, [*INFER, "--resolution", "30"], ["30", "100"]),
    "x unevenly spaced": (gridded(uneven), INFER, ["x is not evenly spaced"]),
    "contradicts glacier_grid.json": (gridded(shifted), INFER, ["x has 26 cells", "glacier_grid.json"]),
    "no draws to check": (untouched, ["check", "{here}/absent.nc"], ["absent.nc"]),
}


@pytest.mark.parametrize("spoil, args, words", CASES.values(), ids=CASES)
def test_bad_input(tmp_path: Path, capsys, spoil, args, words):
    folder = Folder(tmp_path / "RGI60-11.00001")
    spoil(folder)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        main([arg.format(folder=folder.path, here=tmp_path) for arg in args])
    out, err = capsys.readouterr()
    assert ended.value.code == 2, err
    assert out == "" and "Traceback" not in err
    assert err.startswith("glacierbayes: error: ") and 1 <= len(err.strip().splitlines()) <= 3, err
    for word in words:
        assert word in err, err
    assert sorted(tmp_path.rglob("*")) == before
