"""Reads an OGGM glacier directory as `Glacier` and `Observations`, and fetches one.

This is the only file that may import oggm, and it does so only to fetch.
"""

from __future__ import annotations

import importlib.util
import math
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from glacierbayes.data import schema
from glacierbayes.data.balance import CALIBRATION, read_balance
from glacierbayes.data.climate import CLIMATE, read_climate
from glacierbayes.data.directory import RGI_ID, Directory
from glacierbayes.data.grid import Blocks, align_blocks, coarsen, cover_grid, fill_gaps, mean_of_valid
from glacierbayes.data.schema import GRIDDED, THICKNESS_PRODUCTS
from glacierbayes.data.scope import OUTLINES, compare_with_deformation, read_outline, scope_warnings
from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.observations.observations import Observations
from glacierbayes.observations.velocity import NothingCovered, Velocity

DEM_SOURCE = "dem_source.txt"
VELOCITY_YEAR = 2018.0  # Millan et al. 2022: images of 2017 and 2018
VELOCITY_SIGMA = 5.0  # m per year, where the directory holds no error
MIN_ICE_CELLS = 4  # of ice; with fewer the surface has no meaningful slope


def read_oggm(directory: Any, resolution: float | None = None, thickness: str | None = None) -> Glacier:
    """Reads a glacier from an OGGM glacier directory; OGGM need not be installed.

    Coarsening conserves volume and area (`data.grid.coarsen`), gaps in the thickness inside the outline are filled
    (`data.grid.fill_gaps`) and ice outside of it is cut. The notes of the glacier say what was done.

    Args:
        directory: path of the folder, or an OGGM `GlacierDirectory` (anything with `.dir`).
        resolution: width of a cell, m, rounded to the nearest whole multiple of the file's; None takes the file's own.
        thickness: "consensus" or "millan"; None takes the first that the directory has.

    Raises:
        InputError: a file of the directory is missing or wrong, or an argument does not fit the directory.
    """
    source = Directory(directory)
    path = source.path / GRIDDED
    cell = abs(float(source.x[1] - source.x[0]))
    factor = _factor(resolution, cell, path)
    surface = schema.check_finite(source.field("topo"), "topo", path)
    mask = schema.check_finite(source.field("glacier_mask"), "glacier_mask", path) > 0
    _check_outline(mask, path)
    product = _product(source, thickness)
    variable = THICKNESS_PRODUCTS[product]
    raw = source.field(variable)
    if not np.any(mask & np.isfinite(raw) & (raw > 0)):
        raise InputError(
            f"{path}: {variable} has no ice inside glacier_mask, expected a thickness above 0 m; "
            "take another thickness product or another glacier"
        )
    ice, gaps = fill_gaps(raw, mask)
    x, y, blocks = cover_grid(source.x, source.y, factor)
    bed, ice_coarse, outline, scale = coarsen(surface, ice, mask, y, blocks)
    cells = int((ice_coarse > 0).sum())
    if cells < MIN_ICE_CELLS:
        raise InputError(
            f"{path}: {variable} has ice in {cells} cells of {factor * cell:g} m, expected at least {MIN_ICE_CELLS}; "
            + (f"take a finer resolution, down to {cell:g} m" if factor > 1 else "take a larger glacier or a finer map")
        )
    if factor > 1:
        _check_outline(outline, path, f" at {factor * cell:g} m")
    year, notes = _surface_year(source)
    notes = [f"thickness: {product} ({variable}), {gaps} of {int(mask.sum())} cells of the outline filled", *notes]
    if factor > 1:
        area, coarse_area = mask.sum() * cell**2 / 1e6, outline.sum() * (factor * cell) ** 2 / 1e6
        notes.append(
            f"coarsened from {cell:g} to {factor * cell:g} m: outline {area:.2f} -> {coarse_area:.2f} km2, "
            f"thickness times {scale:.4f} to keep the volume"
        )
    climate_path, climate = source.optional_path(CLIMATE), None
    if climate_path is None:
        notes.append(f"no climate: the directory has no {CLIMATE}")
    else:
        climate, more = read_climate(climate_path)
        notes += more
    crs = source.data.attrs.get("pyproj_srs", source.grid.get("proj"))
    return Glacier(
        bed,
        ice_coarse,
        x,
        y,
        mask=outline,
        climate=climate,
        crs=None if crs is None else str(crs),
        surface_year=year,
        rgi_id=source.rgi_id,
        thickness_product=product,
        notes=tuple(notes),
    )


def _factor(resolution: float | None, cell: float, path: Path) -> int:
    if resolution is None:
        return 1
    if not math.isfinite(resolution) or resolution < 0.75 * cell:
        raise InputError(
            f"{path}: resolution {resolution:g} m is finer than the data, whose cells are {cell:g} m; "
            f"ask for {cell:g} m or more"
        )
    return max(1, math.floor(resolution / cell + 0.5))


def _check_outline(mask: np.ndarray, path: Path, where: str = "") -> None:
    if not mask.any():
        raise InputError(f"{path}: glacier_mask has no cell above 0, expected the outline; rasterise it into the file")
    if mask[[0, -1], :].any() or mask[:, [0, -1]].any():
        raise InputError(
            f"{path}: glacier_mask touches the border of the map{where}, expected ice-free cells all round; "
            "make the glacier directory with a larger border (OGGM: cfg.PARAMS['border'], define_glacier_region)"
        )


def _product(source: Directory, wanted: str | None) -> str:
    path = source.path / GRIDDED
    present = [name for name, variable in THICKNESS_PRODUCTS.items() if variable in source.data]
    has = " and ".join(present) if present else "neither"
    if wanted is not None and wanted not in THICKNESS_PRODUCTS:
        raise InputError(f"{path}: thickness '{wanted}' is unknown, expected consensus or millan; the file has {has}")
    if wanted in present or (wanted is None and present):
        return present[0] if wanted is None else wanted
    expected = " or ".join([THICKNESS_PRODUCTS[wanted]] if wanted else THICKNESS_PRODUCTS.values())
    others = [str(v) for v in source.data.data_vars if "thickness" in str(v) and v not in THICKNESS_PRODUCTS.values()]
    raise InputError(
        f"{path}: variable {expected} is missing; of consensus and millan the file has {has}"
        + (f" (also {', '.join(others)})" if others else "")
        + ".\nLet OGGM's shop add it (add_consensus_thickness, millan_thickness_to_gdir)"
    )


def _surface_year(source: Directory) -> tuple[float | None, list[str]]:
    """The middle of the date range of the elevation model (2010-2015 is 2012.5), or None and a note."""
    path = source.optional_path(DEM_SOURCE)
    if path is None:
        return None, [f"surface year unknown: the directory has no {DEM_SOURCE}"]
    text = path.read_text(encoding="utf-8", errors="replace")
    stated = re.search(r"^Date range:\s*(\d{4})\s*-\s*(\d{4})\s*$", text, re.MULTILINE)
    if stated is None:
        return None, [f"surface year unknown: {DEM_SOURCE} states no date range"]
    return (int(stated[1]) + int(stated[2])) / 2, []


def read_observations(directory: Any, glacier: Glacier) -> Observations:
    """Reads the satellite data of an OGGM glacier directory on the grid of the glacier.

    The velocity is that of millan_vx and millan_vy (2018.0, m per year); cells with NaN, or with 0 in both, have none.
    Its standard error is that of millan_err_vx and millan_err_vy, else 5 m per year. The geodetic balance is that of
    mb_calib.json. The notes of the result begin with those of the glacier and name all data that are missing, filled
    or doubtful; warnings of scope begin with "scope: ".

    Args:
        directory: path of the folder, or an OGGM `GlacierDirectory`, as for `read_oggm`.
        glacier: the result of `read_oggm`, or any glacier whose cells are whole blocks of the cells of the file.

    Raises:
        InputError: the glacier does not fit the directory, or a file is wrong.
    """
    source = Directory(directory)
    path = source.path / GRIDDED
    if None not in (glacier.rgi_id, source.rgi_id) and glacier.rgi_id != source.rgi_id:
        raise InputError(
            f"{source.path}: directory of {source.rgi_id}, but the glacier is {glacier.rgi_id}; "
            "read both from the same directory"
        )
    x, y = np.asarray(glacier.x, float), np.asarray(glacier.y, float)
    blocks = align_blocks(source.x, source.y, x, y, str(path))
    mask = schema.check_finite(source.field("glacier_mask"), "glacier_mask", path) > 0
    if glacier.notes and THICKNESS_PRODUCTS.get(glacier.thickness_product or "") in source.data:
        notes = list(glacier.notes)
        for name in (DEM_SOURCE, CLIMATE):  # the glacier was read from these too: their hashes belong to the files
            source.optional_path(name)
    else:
        notes = ["thickness: the glacier's own, not from this directory"]
    velocity, ratio, cosine = None, None, None
    missing = [name for name in ("millan_vx", "millan_vy") if name not in source.data]
    if missing:
        notes.append(f"no velocity: {GRIDDED} has no {' and no '.join(missing)}")
    else:
        vx, vy, sigma, gaps = _velocity(source, mask, blocks)
        with suppress(NothingCovered):
            velocity = Velocity.from_grid(vx, vy, glacier, year=VELOCITY_YEAR, sigma=sigma)
        notes.append(
            f"velocity: Millan et al. 2022, nominal date {VELOCITY_YEAR:g}, none in {gaps} of {int(mask.sum())} cells; "
            + (f"error taken as {VELOCITY_SIGMA:g} m per year" if np.ndim(sigma) == 0 else "error from the file")
        )
        if velocity is None:
            notes.append("no velocity: no block of ice is covered by half")
        elif glacier.thickness_product == "millan":
            notes.append("circular: Millan thickness was itself inverted from Millan velocity; consensus is not")
        ratio, cosine = compare_with_deformation(glacier, vx, vy)
    geodetic = None
    if source.calibration is None:
        notes.append(f"no geodetic balance: the directory has no {CALIBRATION}")
    else:
        geodetic, more = read_balance(source.calibration, source.path / CALIBRATION)
        notes += more
    attributes: dict[str, str] = {}
    outlines = source.optional_path(OUTLINES)
    if outlines is None:
        notes.append(f"surging and calving not checked: the directory has no {OUTLINES}")
    else:
        attributes = read_outline(outlines)
    debris = None
    if "debris_mask" in source.data:
        debris = float((source.field("debris_mask")[mask] > 0).mean())
    else:
        notes.append("debris cover not checked: the RGI does not tell it, and there is no variable debris_mask")
    return Observations(
        velocity=velocity,
        geodetic=geodetic,
        notes=tuple(notes + scope_warnings(attributes, ratio, cosine, debris)),
        files=tuple(sorted(source.hashes.items())),
    )


def _velocity(source: Directory, mask: np.ndarray, blocks: Blocks) -> tuple[np.ndarray, np.ndarray, Any, int]:
    vx, vy = source.field("millan_vx"), source.field("millan_vy")
    valid = np.isfinite(vx) & np.isfinite(vy) & ((vx != 0) | (vy != 0))
    sigma: Any = VELOCITY_SIGMA
    if "millan_err_vx" in source.data and "millan_err_vy" in source.data:
        errors = [source.field(name) for name in ("millan_err_vx", "millan_err_vy")]
        error = np.sqrt((errors[0] ** 2 + errors[1] ** 2) / 2)
        coarse = mean_of_valid(error, valid & np.isfinite(error) & (error > 0), mask, blocks)
        sigma = np.where(np.isfinite(coarse), coarse, VELOCITY_SIGMA)
    means = [mean_of_valid(component, valid, mask, blocks) for component in (vx, vy)]
    return means[0], means[1], sigma, int((mask & ~valid).sum())


_SERVER = "https://cluster.klima.uni-bremen.de/~oggm/"
_BORDER = 80  # cells round the glacier, the smallest map of OGGM's level 3
_TIMEOUT = 15.0  # s


def fetch(rgi_id: str, output: str | Path) -> list[str]:
    """Fetches an OGGM glacier directory by RGI id: OGGM's level 3, with thickness, velocity and elevation change.

    Args:
        rgi_id: an id as RGI60-11.01450 or RGI2000-v7.0-G-11-01706.
        output: folder to make; it appears by rename when it is complete.

    Returns:
        One line for every product that OGGM does not have for this glacier.

    Raises:
        InputError: there is no such id, `output` exists or its parent does not, the extra is not installed, there is no
            network, or OGGM has no thickness of the glacier.
    """
    output = Path(output)
    if not RGI_ID.fullmatch(rgi_id):
        raise InputError(f"{rgi_id}: no RGI id, expected one as RGI60-11.01450 or RGI2000-v7.0-G-11-01706; correct it")
    if output.exists():
        raise InputError(f"{output}: exists, expected a new folder; remove it or name another output")
    if not output.absolute().parent.is_dir():
        raise InputError(f"{output.absolute().parent}: no such folder; make it or name another output")
    if importlib.util.find_spec("oggm") is None:
        raise InputError(
            "fetch: the package oggm is not installed, and fetching needs it; pip install 'glacierbayes[oggm]'"
        )
    # before the import: where salem is installed, importing OGGM without a network fails or waits
    _check_network()
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=output.absolute().parent) as work:
        try:
            folder, missing = _download(rgi_id, Path(work) / "oggm")
        except InputError:
            raise
        except Exception as error:  # OGGM raises errors of many kinds, none of which is a bug of this package
            raise InputError(
                f"fetch: OGGM could not make the directory of {rgi_id} "
                f"({type(error).__name__}: {schema.first_line(error)});\n"
                "check the id, the network and that oggm, salem, rasterio and geopandas import"
            ) from error
        result = Path(work) / "result"
        # flowlines and the like are pickles that nothing here reads
        shutil.copytree(folder, result, ignore=shutil.ignore_patterns("*.pkl"))
        try:
            read_oggm(result)
        except InputError as error:
            text = str(error).replace(str(result), str(output))
            raise InputError(f"fetch: what OGGM has of {rgi_id} cannot be used: {text}") from error
        result.rename(output)
    return missing


def _check_network() -> None:
    try:
        urllib.request.urlopen(urllib.request.Request(_SERVER, method="HEAD"), timeout=_TIMEOUT).close()
    except urllib.error.HTTPError:
        return  # the server answered
    except OSError as error:
        raise InputError(
            f"fetch: {_SERVER} cannot be reached ({getattr(error, 'reason', error)}); fetching needs the network.\n"
            "Connect (or set https_proxy), or copy a glacier directory from a machine that has one"
        ) from error


def _download(rgi_id: str, work: Path) -> tuple[Path, list[str]]:
    from oggm import cfg, utils, workflow
    from oggm.shop import bedtopo, hugonnet_maps, millan22

    cfg.initialize(logging_level="CRITICAL")
    cfg.PATHS["working_dir"] = str(work)
    cfg.PARAMS["use_multiprocessing"] = False
    cfg.PARAMS["continue_on_error"] = False
    version = "62" if rgi_id.startswith("RGI60") else "70" + rgi_id.split("-")[2]
    (directory,) = workflow.init_glacier_directories(
        [rgi_id],
        from_prepro_level=3,
        prepro_border=_BORDER,
        prepro_rgi_version=version,
        prepro_base_url=utils.DEFAULT_BASE_URL,
    )
    missing = []
    for product, task, options in (
        ("consensus thickness", bedtopo.add_consensus_thickness, {}),
        ("Millan thickness", millan22.millan_thickness_to_gdir, {}),
        ("Millan velocity", millan22.millan_velocity_to_gdir, {"add_error": True}),
        ("Hugonnet elevation change", hugonnet_maps.hugonnet_to_gdir, {}),
    ):
        try:
            task(directory, **options)
        except Exception as error:  # each task raises an error of its own where it has nothing for this glacier
            _check_network()
            missing.append(f"no {product}: {schema.first_line(error)}")
    return Path(directory.dir), missing
