"""What `read_oggm` and `read_observations` keep of an OGGM glacier directory."""

import hashlib

import numpy as np
import pytest
import xarray as xr

from glacierbayes import constants
from glacierbayes.data.grid import fill_gaps
from glacierbayes.data.oggm import read_observations, read_oggm
from glacierbayes.data.scope import compare_with_deformation, scope_warnings
from glacierbayes.glacier import Glacier

from .directories import outline


def flip_rows(data: xr.Dataset) -> xr.Dataset:
    return data.isel(y=slice(None, None, -1))


def volume(glacier: Glacier) -> float:
    return float(np.sum(np.asarray(glacier.thickness)) * glacier.cell_area)


def area(glacier: Glacier) -> float:
    return float(np.sum(np.asarray(glacier.mask)) * glacier.cell_area)


def test_own_resolution_keeps_every_cell(folder):
    glacier = read_oggm(folder.path)
    data = xr.load_dataset(folder.path / "gridded_data.nc")
    mask = data.glacier_mask.values > 0
    assert np.array_equal(glacier.mask, mask)
    assert np.allclose(glacier.surface, data.topo.values, atol=1e-9)
    assert np.array_equal(np.asarray(glacier.thickness)[mask], data.consensus_ice_thickness.values[mask].astype(float))
    assert np.array_equal(glacier.x, 400_050.0 + 100.0 * np.arange(26))
    assert np.array_equal(glacier.y, 5_100_050.0 - 100.0 * np.arange(33))
    assert glacier.crs == "+proj=utm +zone=32 +datum=WGS84 +units=m +no_defs"
    assert (glacier.rgi_id, glacier.thickness_product) == ("RGI60-11.00001", "consensus")
    assert glacier.surface_year == 2012.5


@pytest.mark.parametrize(
    "resolution, cell", [(76.0, 100.0), (149.0, 100.0), (160.0, 200.0), (250.0, 300.0), (390.0, 400.0)]
)
def test_resolution_is_a_whole_multiple(folder, resolution, cell):
    glacier = read_oggm(folder.path, resolution=resolution)
    assert float(glacier.dx) == cell
    assert float(glacier.dy) == -cell


@pytest.mark.parametrize("resolution", [200.0, 300.0, 400.0])
def test_coarsening_keeps_volume_and_area(folder, resolution):
    fine, coarse = read_oggm(folder.path), read_oggm(folder.path, resolution=resolution)
    assert volume(coarse) == pytest.approx(volume(fine), rel=1e-13)
    assert abs(area(coarse) - area(fine)) <= 0.5 * resolution**2
    assert not np.any(np.asarray(coarse.thickness)[~np.asarray(coarse.mask)])
    # padded, not cropped
    assert coarse.x.size * resolution >= fine.x.size * 100.0
    assert coarse.y.size * resolution >= fine.y.size * 100.0
    assert float(coarse.x[0]) - resolution / 2 == float(fine.x[0]) - 50.0


@pytest.mark.parametrize("resolution", [None, 200.0, 400.0])
def test_order_of_y_changes_nothing(folder, resolution):
    glacier = read_oggm(folder.path, resolution=resolution)
    observations = read_observations(folder.path, glacier)
    folder.edit(flip_rows)
    flipped = read_oggm(folder.path, resolution=resolution)
    assert float(flipped.dy) > 0 > float(glacier.dy)
    for name in ("bed", "thickness", "surface"):
        assert np.allclose(np.asarray(getattr(flipped, name))[::-1], getattr(glacier, name), atol=1e-9)
    assert np.array_equal(np.asarray(flipped.mask)[::-1], glacier.mask)
    assert np.array_equal(np.asarray(flipped.y)[::-1], glacier.y)
    velocity = read_observations(folder.path, flipped).velocity
    assert velocity is not None and observations.velocity is not None
    # vy is along the map's y, whatever the order of the rows
    assert np.all(np.asarray(velocity.velocity)[:, 1] < 0)
    assert np.all(np.asarray(observations.velocity.velocity)[:, 1] < 0)


def test_columns_may_run_west(folder):
    glacier = read_oggm(folder.path)
    folder.edit(lambda data: data.isel(x=slice(None, None, -1)))
    again = read_oggm(folder.path)
    assert np.array_equal(again.x, glacier.x)
    assert np.array_equal(again.thickness, glacier.thickness)


def test_anything_with_dir(folder):
    class GlacierDirectory:
        dir = str(folder.path)
        rgi_id = "RGI60-11.00001"

    assert volume(read_oggm(GlacierDirectory())) == volume(read_oggm(str(folder.path)))


@pytest.mark.oggm
def test_a_glacier_directory_of_oggm(folder, oggm):
    directory = oggm.GlacierDirectory.__new__(oggm.GlacierDirectory)  # its __init__ wants an outline of the whole RGI
    directory.dir, directory.rgi_id = str(folder.path), "RGI60-11.00001"
    assert volume(read_oggm(directory)) == volume(read_oggm(folder.path))
    assert read_observations(directory, read_oggm(directory)).geodetic is not None


def test_thickness_product(folder):
    assert read_oggm(folder.path, thickness="millan").thickness_product == "millan"
    ratio = volume(read_oggm(folder.path, thickness="millan")) / volume(read_oggm(folder.path))
    assert ratio == pytest.approx(1.2, rel=1e-6)
    folder.edit(lambda data: data.drop_vars("consensus_ice_thickness"))
    assert read_oggm(folder.path).thickness_product == "millan"


def test_harmonic_filling_is_exact_for_a_linear_thickness():
    rows, columns = np.indices((20, 24)).astype(float)
    mask = np.zeros((20, 24), bool)
    mask[2:18, 2:22] = True
    truth = 50.0 + 3.0 * rows + 2.0 * columns
    holes = truth.copy()
    holes[6:11, 7:15] = np.nan
    holes[13, 5] = 0.0
    filled, gaps = fill_gaps(holes, mask)
    assert gaps == 5 * 8 + 1
    assert np.allclose(filled[mask], truth[mask], atol=1e-10)
    assert not filled[~mask].any()


def test_filling_falls_to_nothing_at_the_outline():
    mask = np.zeros((7, 30), bool)
    mask[1:6, 1:29] = True
    thickness = np.where(mask, 100.0, 0.0)
    thickness[1:6, 20:29] = np.nan
    filled, gaps = fill_gaps(thickness, mask)
    assert gaps == 45
    along = filled[3, 19:29]
    assert np.all(np.diff(along) < 0) and along[-1] > 0


def test_observations_begin_with_the_notes_of_the_glacier_and_coarsen_nothing(folder, monkeypatch):
    glacier = read_oggm(folder.path, resolution=200.0)
    assert any(note.startswith("coarsened from 100 to 200 m") for note in glacier.notes)

    def refuse(*_):
        raise AssertionError("the glacier is coarsened already")

    monkeypatch.setattr("glacierbayes.data.oggm.coarsen", refuse)
    observations = read_observations(folder.path, glacier)
    assert observations.notes[: len(glacier.notes)] == glacier.notes
    assert {"dem_source.txt", "climate_historical.nc"} <= {name for name, _ in observations.files}


def test_gaps_are_counted_in_the_notes(folder):
    def make_gaps(data):
        data["consensus_ice_thickness"][12, 12] = np.nan
        data["consensus_ice_thickness"][13, 12] = 0.0

    folder.edit(make_gaps)
    glacier = read_oggm(folder.path)
    assert np.all(np.asarray(glacier.thickness)[np.asarray(glacier.mask)] > 0)
    assert any("2 of 170 cells" in note for note in read_observations(folder.path, glacier).notes)


def test_ice_outside_the_outline_is_cut(folder):
    before = volume(read_oggm(folder.path, resolution=200.0))
    folder.edit(lambda data: data.update({"consensus_ice_thickness": data.consensus_ice_thickness.fillna(77.0)}))
    assert volume(read_oggm(folder.path, resolution=200.0)) == pytest.approx(before, rel=1e-13)


def test_climate_is_whole_calendar_years(folder):
    climate = read_oggm(folder.path).climate
    assert climate is not None
    assert (climate.first_year, climate.last_year) == (2000, 2019)
    data = xr.load_dataset(folder.path / "climate_historical.nc")
    assert np.array_equal(climate.temperature[3], data.temp.sel(time="2003").values.astype(float))
    notes = read_observations(folder.path, read_oggm(folder.path)).notes
    assert any("3 months of incomplete calendar years" in note for note in notes)


def test_geodetic_balance_is_in_metres(folder):
    geodetic = read_observations(folder.path, read_oggm(folder.path)).geodetic
    assert geodetic is not None
    assert (float(geodetic.balance[0]), float(geodetic.sigma[0])) == (-0.8, 0.15)
    assert (geodetic.start, geodetic.end) == ((2000.0,), (2020.0,))


def test_velocity_is_the_mean_over_cells_that_have_one(folder):
    def spoil(data):
        data["millan_vx"][::2, :] = 0.0
        data["millan_vy"][::2, :] = 0.0
        data["millan_vx"][1::2, ::2] = np.nan

    folder.edit(
        lambda data: data.update({"millan_vy": data.millan_vy * 0 - 30.0, "millan_vx": data.millan_vx * 0 + 4.0})
    )
    glacier = read_oggm(folder.path)
    whole = read_observations(folder.path, glacier)
    assert whole.velocity is not None
    assert np.allclose(whole.velocity.velocity, [4.0, -30.0])
    assert np.all(np.asarray(whole.velocity.sigma) == 5.0)
    assert whole.velocity.year == 2018.0
    # a quarter of the cells is left: too few for any coarse cell, and none of the zeros came into a mean
    folder.edit(spoil)
    coarse = read_observations(folder.path, read_oggm(folder.path, resolution=200.0))
    assert coarse.velocity is None
    assert any(note.startswith("no velocity") for note in coarse.notes)


def test_velocity_errors_of_the_file_are_used(folder):
    folder.edit(
        lambda data: data.update({f"millan_err_{c}": data.millan_vx * 0 + e for c, e in {"vx": 3, "vy": 4}.items()})
    )
    velocity = read_observations(folder.path, read_oggm(folder.path, resolution=200.0)).velocity
    assert velocity is not None
    assert np.allclose(velocity.sigma, np.sqrt((3**2 + 4**2) / 2))


def test_what_is_missing_is_noted(folder):
    for name in ("climate_historical.nc", "mb_calib.json", "dem_source.txt", "outlines.tar.gz"):
        (folder.path / name).unlink()
    folder.edit(lambda data: data.drop_vars(["millan_vx", "millan_vy"]))
    glacier = read_oggm(folder.path)
    assert glacier.climate is None and glacier.surface_year is None
    assert glacier.rgi_id == "RGI60-11.00001"  # the folder's name
    observations = read_observations(folder.path, glacier)
    assert observations.velocity is None and observations.geodetic is None
    text = "\n".join(observations.notes)
    for expected in (
        "no climate",
        "no geodetic balance",
        "surface year unknown",
        "no velocity",
        "surging and calving not",
    ):
        assert expected in text
    assert all("\n" not in note for note in observations.notes)
    assert [name for name, _ in observations.files] == ["glacier_grid.json", "gridded_data.nc"]


def test_files_are_hashed(folder):
    files = dict(read_observations(folder.path, read_oggm(folder.path)).files)
    assert len(files) == 6
    for name, digest in files.items():
        assert hashlib.sha256((folder.path / name).read_bytes()).hexdigest() == digest


def test_millan_thickness_with_millan_velocity_is_circular(folder):
    for product, expected in {"consensus": False, "millan": True}.items():
        notes = read_observations(folder.path, read_oggm(folder.path, thickness=product)).notes
        assert any(note.startswith("circular") for note in notes) is expected


def test_observations_on_a_part_of_the_grid(folder):
    whole = read_oggm(folder.path, resolution=200.0)
    part = Glacier(
        whole.bed[2:-2, 2:-2], whole.thickness[2:-2, 2:-2], whole.x[2:-2], whole.y[2:-2], mask=whole.mask[2:-2, 2:-2]
    )
    observations = read_observations(folder.path, part)
    assert observations.velocity is not None
    assert any("the glacier's own" in note for note in observations.notes)


def test_scope_from_rgi_attributes():
    def lines(**attributes):
        return scope_warnings(attributes)

    assert lines(Surging="0", TermType="0", Form="0") == []
    assert lines(Surging="9", TermType="9", Form="9") == []
    assert "observed to be surging" in lines(Surging="3")[0]
    assert "calving" in lines(TermType="1")[0]
    assert "lake" in lines(TermType="2")[0]
    assert "possibly surging" in lines(surge_type="1.0")[0]
    assert "shelf" in lines(term_type="3")[0]
    assert len(lines(Surging="2", TermType="1")) == 2
    assert "debris" in scope_warnings({}, debris=0.3)[0]
    assert "6.0 times" in scope_warnings({}, speed_ratio=6.0)[0]
    assert "noise" in scope_warnings({}, cosine=0.2)[0]
    assert scope_warnings({}, speed_ratio=1.0, cosine=0.9, debris=0.0) == []


def test_deformation_of_an_inclined_slab():
    x, y = 100.0 * np.arange(40), -100.0 * np.arange(40)
    surface = np.broadcast_to(3000.0 + 0.1 * y[:, None], (40, 40))
    glacier = Glacier(surface - 150.0, np.full((40, 40), 150.0), x, y)
    creep = (
        0.5 * 2.4e-24 * (constants.ICE_DENSITY * constants.GRAVITY * 0.1) ** 3 * 150.0**4 * constants.SECONDS_PER_YEAR
    )
    ratio, cosine = compare_with_deformation(glacier, np.zeros((40, 40)), np.full((40, 40), -2.0 * creep))
    assert ratio == pytest.approx(2.0, rel=0.02)
    assert cosine == pytest.approx(1.0, abs=1e-9)


def test_surging_outline_in_the_archive(folder):
    (folder.path / "outlines.tar.gz").write_bytes(outline(Form="0", TermType="1", Surging="3"))
    notes = read_observations(folder.path, read_oggm(folder.path)).notes
    assert sum(note.startswith("scope: ") and "(RGI)" in note for note in notes) == 2


# The real ones


@pytest.mark.parametrize("resolution", [200.0, 400.0, 800.0])
def test_aletsch_volume_area_and_height(data_dir, resolution):
    fine = read_oggm(data_dir / "RGI60-11.01450")
    coarse = read_oggm(data_dir / "RGI60-11.01450", resolution=resolution)
    assert volume(coarse) == pytest.approx(volume(fine), rel=1e-13)
    assert area(fine) == pytest.approx(82.24e6)
    assert area(coarse) == pytest.approx(area(fine), rel=0.005)

    def height(glacier):
        return float(np.asarray(glacier.surface)[np.asarray(glacier.mask)].mean())

    assert height(coarse) == pytest.approx(height(fine), abs=2.0)
    assert float(coarse.x[0] - coarse.dx / 2) == pytest.approx(float(fine.x[0] - fine.dx / 2))


def test_aletsch_observations(data_dir):
    glacier = read_oggm(data_dir / "RGI60-11.01450", resolution=200.0)
    observations = read_observations(data_dir / "RGI60-11.01450", glacier)
    assert glacier.surface_year == 2012.5
    assert glacier.climate is not None and (glacier.climate.first_year, glacier.climate.last_year) == (1901, 2019)
    assert glacier.climate.reference_height == 1764.0
    assert observations.geodetic is not None and float(observations.geodetic.balance[0]) == pytest.approx(-1.2107)
    assert observations.velocity is not None
    speed = np.hypot(*np.asarray(observations.velocity.velocity).T)
    assert 20.0 < np.median(speed) < 60.0
    assert not any(note.startswith("scope: ") for note in observations.notes)


@pytest.mark.parametrize(
    "rgi_id, scope", [("RGI60-08.02650", "times what ice of this thickness can deform"), ("RGI60-07.01044", "noise")]
)
def test_other_glaciers(data_dir, rgi_id, scope):
    glacier = read_oggm(data_dir / rgi_id, resolution=100.0)
    notes = read_observations(data_dir / rgi_id, glacier).notes
    assert any(note.startswith("scope: ") and scope in note for note in notes)
    assert glacier.rgi_id == rgi_id
