"""Draws as `infer` writes them, made up: a curved valley glacier, with correlated creep, sliding and thickness."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

ICE_DENSITY, GRAVITY, YEAR = 900.0, 9.81, 365.25 * 86400.0
SAMPLED = {
    "reference_speed": ("m yr-1", "surface speed of creep and sliding at 250 m of ice and a slope of 0.1"),
    "sliding_fraction": ("1", "share of sliding in the reference speed"),
    "thickness_scale": ("1", "thickness over that of the product"),
    "melt_factor": ("kg m-2 d-1 K-1", "melt per degree and day"),
    "precipitation_factor": ("1", "precipitation over that of the climate data"),
    "temperature_bias": ("K", "temperature correction"),
    "volume_change_density": ("kg m-3", "density of the volume change"),
    "velocity_discrepancy": ("m yr-1", "what the shallow-ice equation cannot say"),
}
DERIVED = {
    "creep_parameter": ("Pa-3 s-1", "creep parameter A (effective: no side drag)"),
    "sliding_parameter": ("m s-1 Pa-3", "sliding parameter C"),
}


def make_draws(
    chains: int = 4,
    draws: int = 300,
    *,
    velocity: bool = True,
    balance: bool = True,
    sliding: bool = True,
    method: str = "nuts",
    seed: int = 0,
) -> xr.DataTree:
    """A DataTree with every group of the contract; draws are independent, so that it passes `check`."""
    rng = np.random.default_rng(seed)
    grid, blocks = _grid()
    prior = _parameters(rng, (1, 500), prior=True)
    posterior = _parameters(rng, (chains, draws), prior=False)
    if not sliding:
        for values in (prior, posterior):
            values.pop("sliding_fraction")
            values.pop("sliding_parameter")
    predictions: dict[str, dict] = {name: {} for name in ("posterior_predictive", "prior_predictive")}
    observed, likelihood = {}, {}
    if velocity:
        truth = _speeds(rng, blocks)
        seen = truth + 6.0 * rng.standard_t(5, truth.shape)
        observed["velocity"] = (("block", "component"), seen)
        for group, values in (("posterior_predictive", posterior), ("prior_predictive", prior)):
            pattern = np.exp(0.35 * np.sin(blocks["x"] / 1500.0))[:, None]
            factor = (values["reference_speed"] / 40.0)[..., None, None]
            modelled = factor * truth * pattern
            noise = values["velocity_discrepancy"][..., None, None] * rng.standard_t(5, modelled.shape)
            dims = ("chain", "draw", "block", "component")
            predictions[group] |= {"modelled_velocity": (dims, modelled), "velocity": (dims, modelled + noise)}
        likelihood["velocity"] = (("chain", "draw", "block"), rng.normal(-7.0, 1.0, (chains, draws, len(seen))))
    if balance:
        observed["geodetic_balance"] = (("period",), np.array([-1.05]))
        for group, values in (("posterior_predictive", posterior), ("prior_predictive", prior)):
            modelled = (
                -1.0
                - 0.55 * np.log(values["melt_factor"] / 5.0)
                + 0.5 * np.log(values["precipitation_factor"] / 2.0)
                - 0.5 * values["temperature_bias"]
            )[..., None]
            dims = ("chain", "draw", "period")
            noise = rng.normal(0.0, 0.11, modelled.shape)
            predictions[group] |= {"modelled_balance": (dims, modelled), "geodetic_balance": (dims, modelled + noise)}
        likelihood["geodetic_balance"] = (("chain", "draw", "period"), rng.normal(0.5, 0.7, (chains, draws, 1)))
    coords = {"component": ["vx", "vy"], "period": ["2000-2020"]}
    groups = {
        "/": xr.Dataset(attrs=_provenance(chains, draws, method, seed, balance)),
        "/posterior": _described(posterior),
        "/prior": _described(prior),
        "/sample_stats": _sample_stats(rng, chains, draws),
        "/constant_data": _constant_data(grid, blocks if velocity else None, balance),
    }
    groups |= {f"/{name}": _with_coords(values, coords) for name, values in predictions.items() if values}
    groups |= {
        f"/{name}": _with_coords(values, coords)
        for name, values in {"observed_data": observed, "log_likelihood": likelihood}.items()
        if values
    }
    return xr.DataTree.from_dict(groups)


def _parameters(rng: np.random.Generator, shape: tuple[int, int], prior: bool) -> dict[str, np.ndarray]:
    normal = lambda: rng.normal(size=shape)  # noqa: E731
    if prior:
        values = {
            "reference_speed": 30.0 * np.exp(1.0 * normal()),
            "sliding_fraction": 1.0 / (1.0 + np.exp(-1.5 * normal())),
            "thickness_scale": np.exp(0.25 * normal()),
            "melt_factor": 5.0 * 1.6 ** normal(),
            "precipitation_factor": 2.0 * 1.5 ** normal(),
            "temperature_bias": 1.5 * normal(),
            "volume_change_density": 850.0 + 60.0 * normal(),
            "velocity_discrepancy": 15.0 * np.exp(0.7 * normal()),
        }
    else:
        scale, melt, rain = 0.16 * normal(), normal(), normal()
        values = {
            "reference_speed": 40.0 * np.exp(0.05 * normal() + 0.3 * scale),
            "sliding_fraction": 1.0 / (1.0 + np.exp(1.9 - 0.9 * normal() + 4.0 * scale)),
            "thickness_scale": np.exp(scale),
            "melt_factor": 5.2 * 1.45**melt,
            "precipitation_factor": 2.1 * 1.35**rain,
            "temperature_bias": -0.9 * melt * np.log(1.45) + np.log(1.35) * rain + 0.1 * normal(),
            "volume_change_density": 850.0 + 59.0 * normal(),
            "velocity_discrepancy": 11.0 * np.exp(0.09 * normal()),
        }
    speed = values["reference_speed"] / YEAR
    stress = ICE_DENSITY * GRAVITY * 250.0 * values["thickness_scale"] * 0.1
    creep = (1.0 - values["sliding_fraction"]) * speed
    values["creep_parameter"] = creep * 4.0 / (2.0 * stress**3 * 250.0 * values["thickness_scale"])
    values["sliding_parameter"] = values["sliding_fraction"] * speed / stress**3
    return values


def _described(values: dict[str, np.ndarray]) -> xr.Dataset:
    dataset = xr.Dataset({name: (("chain", "draw"), array) for name, array in values.items()})
    dataset = dataset.assign_coords(chain=np.arange(dataset.sizes["chain"]), draw=np.arange(dataset.sizes["draw"]))
    for name in dataset.data_vars:
        units, long_name = (SAMPLED | DERIVED)[str(name)]
        dataset[name].attrs = {"units": units, "long_name": long_name, "derived": int(name in DERIVED)}
    return dataset


def _with_coords(values: dict, coords: dict) -> xr.Dataset:
    dataset = xr.Dataset(values)
    return dataset.assign_coords({dim: labels for dim, labels in coords.items() if dim in dataset.dims})


def _grid() -> tuple[xr.Dataset, dict[str, np.ndarray]]:
    """A glacier that bends, 200 m cells, rows from north to south; blocks of 3 x 3 cells."""
    y, x = np.arange(60)[::-1] * 200.0, np.arange(40) * 200.0
    xs, ys = np.meshgrid(x, y)
    centre = 4000.0 + 900.0 * np.sin(ys / 2600.0)
    width = 700.0 + 1900.0 * (ys / 12000.0) ** 2
    across = (xs - centre) / width
    mask = (np.abs(across) < 1.0) & (ys > 700.0) & (ys < 11400.0)
    along = np.sin(np.pi * (ys - 500.0) / 11200.0)
    thickness = np.where(mask, 330.0 * (1.0 - across**2) * np.maximum(along, 0.0) ** 0.7, 0.0)
    rows, columns = np.indices(mask.shape) // 3
    label = rows * 14 + columns
    kept = [k for k in np.unique(label) if mask[label == k].sum() >= 5]
    block = np.full(mask.shape, -1)
    for index, k in enumerate(kept):
        block[(label == k) & mask] = index
    mean = lambda field: np.array([field[block == k].mean() for k in range(len(kept))])  # noqa: E731
    grid = xr.Dataset(
        {
            "bed": (("y", "x"), 1800.0 + 0.12 * ys - thickness),
            "thickness": (("y", "x"), thickness),
            "mask": (("y", "x"), mask),
            "velocity_block": (("y", "x"), block),
        },
        coords={"y": ("y", y, {"units": "m"}), "x": ("x", x, {"units": "m"})},
    )
    return grid, {"x": mean(xs), "y": mean(ys), "thickness": mean(thickness)}


def _speeds(rng: np.random.Generator, blocks: dict[str, np.ndarray]) -> np.ndarray:
    speed = 160.0 * (blocks["thickness"] / 300.0) ** 2.0 * np.exp(0.25 * rng.normal(size=blocks["x"].size)) + 3.0
    turn = 0.35 * np.cos(blocks["y"] / 2600.0)
    return np.stack([-speed * np.sin(turn), -speed * np.cos(turn)], -1)


def _constant_data(grid: xr.Dataset, blocks: dict[str, np.ndarray] | None, balance: bool) -> xr.Dataset:
    data = grid if blocks is not None else grid.drop_vars("velocity_block")
    if blocks is not None:
        data = data.assign({f"velocity_block_{name}": ("block", values) for name, values in blocks.items()})
        data["velocity_sigma"] = (("block", "component"), np.full((blocks["x"].size, 2), 5.0))
    if balance:
        data["geodetic_balance_sigma"] = (("period",), np.array([0.13]))
    return data


def _sample_stats(rng: np.random.Generator, chains: int, draws: int) -> xr.Dataset:
    shape = (chains, draws)
    energy = rng.normal(420.0, 3.0, shape)
    values = {
        "diverging": np.zeros(shape, bool),
        "solver_failed": np.zeros(shape, bool),
        "energy": energy,
        "lp": -energy + 4.0,
        "acceptance_rate": rng.uniform(0.7, 1.0, shape),
        "step_size": np.full(shape, 0.4),
        "n_steps": np.full(shape, 7),
        "tree_depth": np.full(shape, 3),
    }
    return xr.Dataset({name: (("chain", "draw"), array) for name, array in values.items()})


def _provenance(chains: int, draws: int, method: str, seed: int, balance: bool) -> dict:
    return {
        "model": "creep_and_sliding",
        "rgi_id": "RGI60-11.01450",
        "resolution": 200.0,
        "method": method,
        "chains": chains,
        "draws": draws,
        "warmup": 500,
        "seed": seed,
        "options": json.dumps({"years": [2000, 2020]}),
        "versions": json.dumps({"glacierbayes": "0.1.0", "jax": "0.12.0", "numpyro": "0.22.0"}),
        "data_files": json.dumps([["gridded_data.nc", "ab" * 32], ["climate_historical.nc", "cd" * 32]]),
        "thickness_product": "consensus",
        "balance_model": "TemperatureIndex",
        "start_surface": "surface of 2012.5 lowered to 2000 with the observed balance, bed fixed",
        "notes": json.dumps(
            ["12 cells without a thickness were filled inside the outline"]
            + ([] if balance else ["no reference balance in mb_calib.json: left out"])
        ),
        "sampling_seconds": 843.2,
        "cores": 2,
        "created": "2026-11-21T10:00:00+00:00",
    }
