"""Bad glacier directories: an InputError of one to three lines that names the file, the variable and the cure."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from glacierbayes.data import oggm
from glacierbayes.data.oggm import fetch, read_observations, read_oggm
from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier

from .edits import first_row, one_cell, put, setting, shifted, uneven, units, without

GRIDDED = [
    ("missing topo", without("topo"), ["topo", "missing"]),
    ("missing outline", without("glacier_mask"), ["glacier_mask", "missing"]),
    (
        "no thickness product",
        without(["consensus_ice_thickness", "millan_ice_thickness"]),
        ["neither", "add_consensus"],
    ),
    ("thickness in km", units("consensus_ice_thickness", "km"), ["consensus_ice_thickness", "'km'", "'m'"]),
    ("topo in feet", units("topo", "ft"), ["topo", "'ft'", "'m'"]),
    ("NaN in topo", setting("topo", put(np.nan, slice(0, 3), 0)), ["topo", "3 of 858 cells"]),
    ("no ice", setting("consensus_ice_thickness", lambda v: v * np.nan), ["no ice", "consensus_ice_thickness"]),
    ("thickness 0", setting("consensus_ice_thickness", lambda v: v * 0), ["no ice"]),
    ("empty outline", setting("glacier_mask", lambda v: v * 0), ["glacier_mask", "outline"]),
    ("one-cell glacier", setting("glacier_mask", one_cell), ["1 cells", "at least 4"]),
    ("outline at the border", setting("glacier_mask", put(1, slice(0, 9), 12)), ["glacier_mask", "border"]),
    ("uneven x", uneven, ["x is not evenly spaced", "regular grid"]),
    ("x contradicts the grid", shifted, ["x has 26 cells", "glacier_grid.json"]),
    ("a row too few", first_row, ["y has 32 cells", "glacier_grid.json"]),
    ("no y", without("y"), ["coordinate y", "missing"]),
    ("a third dimension", lambda data: data.update({"topo": data.topo.expand_dims(time=2)}), ["topo", "dimensions"]),
    ("text", lambda data: data.assign(topo=(("y", "x"), np.full(data.topo.shape, "high"))), ["topo", "numbers"]),
]
CLIMATE = [
    ("NaN temperature", setting("temp", put(np.nan, 30)), ["temp", "1 of 243 months"]),
    ("kelvin", units("temp", "K"), ["temp", "'K'", "'degC'"]),
    ("a month missing", lambda data: data.drop_isel(time=50), ["2 months on after 2003-11"]),
    ("less than a year", lambda data: data.isel(time=slice(0, 11)), ["no whole calendar year"]),
    ("no precipitation", without("prcp"), ["prcp", "missing"]),
    ("negative precipitation", setting("prcp", put(-1.0, 5)), ["prcp", "at least 0"]),
    ("no height", lambda data: data.drop_attrs(), ["ref_hgt", "missing"]),
    ("no dates", lambda data: data.assign_coords(time=np.arange(data.time.size)), ["time", "no dates"]),
]


def refused(call, *expected, file=None):
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert 1 <= len(text.splitlines()) <= 3, text
    for part in (*expected, *([file] if file else [])):
        assert part in text, text
    return text


@pytest.mark.parametrize("edit, expected", [case[1:] for case in GRIDDED], ids=[case[0] for case in GRIDDED])
def test_gridded_data(folder, edit, expected):
    folder.edit(edit)
    refused(lambda: read_oggm(folder.path), *expected, file="gridded_data.nc")


@pytest.mark.parametrize("edit, expected", [case[1:] for case in CLIMATE], ids=[case[0] for case in CLIMATE])
def test_climate(folder, edit, expected):
    folder.edit(edit, "climate_historical.nc")
    refused(lambda: read_oggm(folder.path), *expected, file="climate_historical.nc")


@pytest.mark.parametrize("stated", ["m s-1", "m d-1", "cm", "km yr-1"])
def test_velocity_in_other_units(folder, stated):
    folder.edit(units("millan_vx", stated))
    glacier = read_oggm(folder.path)
    refused(lambda: read_observations(folder.path, glacier), "millan_vx", stated, file="gridded_data.nc")


@pytest.mark.parametrize("stated", ["m", "m yr-1", "m a-1", "m/yr", "m year-1"])
def test_metres_per_year_however_written(folder, stated):
    folder.edit(units("millan_vx", stated))
    assert read_observations(folder.path, read_oggm(folder.path)).velocity is not None


@pytest.mark.parametrize("resolution", [30.0, 74.0, 0.0, -200.0, float("nan")])
def test_resolution_finer_than_the_data(folder, resolution):
    refused(lambda: read_oggm(folder.path, resolution=resolution), "100 m", file="gridded_data.nc")


def test_too_coarse_for_the_glacier(folder):
    refused(lambda: read_oggm(folder.path, resolution=1000.0), "at least 4", "finer resolution")


def test_thickness_products(folder):
    refused(lambda: read_oggm(folder.path, thickness="guess"), "'guess'", "consensus and millan")
    folder.edit(without("millan_ice_thickness"))
    refused(lambda: read_oggm(folder.path, thickness="millan"), "millan_ice_thickness", "has consensus")


@pytest.mark.parametrize("name", ["gridded_data.nc", "glacier_grid.json"])
def test_needed_files(folder, name):
    (folder.path / name).unlink()
    refused(lambda: read_oggm(folder.path), "no such file", file=name)


def test_no_folder(tmp_path):
    refused(lambda: read_oggm(tmp_path / "nowhere"), "no such folder", "nowhere")


@pytest.mark.parametrize("name", ["gridded_data.nc", "climate_historical.nc"])
@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_corrupt_netcdf(folder, name, keep):
    path = folder.path / name
    path.write_bytes(path.read_bytes()[:keep])
    refused(lambda: read_oggm(folder.path), "not a readable NetCDF", file=name)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "{}", '{"x0y0": [0, 0], "nxny": [26], "dxdy": [100, -100]}'])
def test_corrupt_grid(folder, text):
    (folder.path / "glacier_grid.json").write_text(text)
    refused(lambda: read_oggm(folder.path), file="glacier_grid.json")


def test_a_grid_given_by_its_corner(folder):
    centre = read_oggm(folder.path)
    folder.edit_json("glacier_grid.json", x0y0=[400_000.0, 5_100_100.0], pixel_ref="corner")
    assert np.array_equal(read_oggm(folder.path).x, centre.x)
    folder.edit_json("glacier_grid.json", pixel_ref="center")
    refused(lambda: read_oggm(folder.path), "glacier_grid.json", file="gridded_data.nc")


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"reference_mb": "low"}, ["reference_mb", "'low'"]),
        ({"reference_mb": float("nan")}, ["reference_mb", "nan"]),
        ({"reference_mb_err": 0.0}, ["reference_mb_err", "positive"]),
        ({"reference_period": "the nineties"}, ["reference_period", "the nineties"]),
        ({"reference_period": "2020-01-01_2000-01-01"}, ["reference_period", "before it starts"]),
    ],
)
def test_reference_balance(folder, changes, expected):
    folder.edit_json("mb_calib.json", **changes)
    glacier = read_oggm(folder.path)
    refused(lambda: read_observations(folder.path, glacier), *expected, file="mb_calib.json")


@pytest.mark.parametrize("gone", ["reference_mb", "reference_mb_err"])
def test_no_reference_balance_is_a_note(folder, gone):
    folder.edit_json("mb_calib.json", **{gone: None})
    observations = read_observations(folder.path, read_oggm(folder.path))
    assert observations.geodetic is None
    assert any(note.startswith("no geodetic balance") and gone in note for note in observations.notes)


def test_files_of_another_glacier(folder):
    folder.edit_json("mb_calib.json", rgi_id="RGI60-11.00002")
    refused(lambda: read_oggm(folder.path), "RGI60-11.00002", "RGI60-11.00001", file="mb_calib.json")


def test_corrupt_outline(folder):
    glacier = read_oggm(folder.path)
    (folder.path / "outlines.tar.gz").write_bytes(b"no archive")
    refused(lambda: read_observations(folder.path, glacier), file="outlines.tar.gz")


@pytest.mark.parametrize("move, stretch", [(10.0, 1.0), (0.0, 1.3), (1e6, 1.0)])
def test_glacier_on_another_grid(folder, move, stretch):
    glacier = read_oggm(folder.path)
    x = glacier.x[0] + stretch * (glacier.x - glacier.x[0]) + move
    other = Glacier(glacier.bed, glacier.thickness, x, glacier.y, mask=glacier.mask)
    refused(lambda: read_observations(folder.path, other), "whole blocks", "read_oggm")


def test_real_glaciers_without_a_product(data_dir):
    for rgi_id in ("RGI60-11.03638", "RGI60-01.16195"):
        refused(lambda name=rgi_id: read_oggm(data_dir / name), "consensus_ice_thickness", file="gridded_data.nc")


@pytest.mark.parametrize("rgi_id", ["Aletsch", "RGI60-11.145", "RGI60-25.01450", "RGI50-11.01450", ""])
def test_fetch_wants_an_rgi_id(tmp_path, rgi_id):
    refused(lambda: fetch(rgi_id, tmp_path / "new"), "RGI60-11.01450")
    assert not (tmp_path / "new").exists()


def test_fetch_keeps_what_is_there(tmp_path):
    refused(lambda: fetch("RGI60-11.01450", tmp_path), "exists")
    refused(lambda: fetch("RGI60-11.01450", tmp_path / "no" / "new"), "no such folder")


def test_fetch_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(oggm.importlib.util, "find_spec", lambda name: None)
    refused(lambda: fetch("RGI60-11.01450", tmp_path / "new"), "glacierbayes[oggm]")
    assert list(tmp_path.iterdir()) == []


def test_fetch_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(oggm.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(oggm, "_SERVER", "http://127.0.0.1:9/")
    refused(lambda: fetch("RGI60-11.01450", tmp_path / "new"), "network")
    assert list(tmp_path.iterdir()) == []


def test_fetch_where_oggm_fails(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("a bad day")

    monkeypatch.setattr(oggm.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(oggm, "_check_network", lambda: None)
    monkeypatch.setattr(oggm, "_download", fails)
    refused(lambda: fetch("RGI60-11.01450", tmp_path / "new"), "a bad day")
    assert list(tmp_path.iterdir()) == []


def test_fetch_makes_the_folder_at_the_end(folder, tmp_path, monkeypatch):
    (folder.path / "flowlines.pkl").write_bytes(b"")
    monkeypatch.setattr(oggm.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(oggm, "_check_network", lambda: None)
    monkeypatch.setattr(oggm, "_download", lambda *_: (folder.path, ["no Millan velocity: none"]))
    assert fetch("RGI60-11.00001", tmp_path / "new") == ["no Millan velocity: none"]
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert {"gridded_data.nc", "glacier_grid.json", "mb_calib.json"} <= names and "flowlines.pkl" not in names
    assert {path.name for path in tmp_path.iterdir()} == {"new", folder.path.name}
    assert json.loads((tmp_path / "new" / "mb_calib.json").read_text())["rgi_id"] == "RGI60-11.00001"


def test_reading_does_not_import_oggm(folder):
    code = f"""
import sys
from glacierbayes.data.oggm import read_observations, read_oggm
read_observations({str(folder.path)!r}, read_oggm({str(folder.path)!r}))
print(sorted(name for name in sys.modules if re.match('oggm|salem|geopandas|rasterio', name)))
"""
    done = subprocess.run([sys.executable, "-c", f"import re{code}"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\[\]\n", done.stdout)
