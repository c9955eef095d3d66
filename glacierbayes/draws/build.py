"""From chunks to an ArviZ `DataTree` with named dimensions, units and provenance."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

import numpy as np
import xarray as xr

from glacierbayes.declarations import Declarations
from glacierbayes.glacier import Glacier
from glacierbayes.observations.observations import Observations

PACKAGES = ("jax", "numpyro", "diffrax", "equinox", "arviz", "numpy", "xarray")

# what observations leave in a trace; everything else is described where it is sampled
DIMENSIONS = {
    "velocity": ("block", "component"),
    "modelled_velocity": ("block", "component"),
    "geodetic_balance": ("period",),
    "modelled_balance": ("period",),
}
DESCRIPTIONS = {
    "velocity": ("m yr-1", "mean surface velocity of a block"),
    "modelled_velocity": ("m yr-1", "modelled mean surface velocity of a block, without noise"),
    "geodetic_balance": ("m yr-1", "geodetic mass balance, m w.e. per year, as published at 850 kg m-3"),
    "modelled_balance": ("m yr-1", "modelled geodetic mass balance, m w.e. per year, without noise"),
}
STATISTICS = {
    "diverging": ("1", "the trajectory diverged, for another reason than a failed solve"),
    "solver_failed": ("1", "the trajectory met a failed solve and was rejected"),
    "energy": ("1", "energy of the transition"),
    "lp": ("1", "log density of the unconstrained draw"),
    "log_weight": ("1", "log density of the draw less that of the approximation it is from, up to a constant"),
    "acceptance_rate": ("1", "mean acceptance probability of the trajectory"),
    "step_size": ("1", "step size, in standard deviations of the mass matrix"),
    "n_steps": ("1", "gradients of the trajectory"),
    "tree_depth": ("1", "doublings of the trajectory"),
}


def build_tree(
    recorded: dict[str, np.ndarray],
    prior: dict[str, np.ndarray],
    observed: dict[str, np.ndarray],
    declarations: Declarations,
    sampled: list[str],
    glacier: Any,
    observations: Any,
    attributes: dict[str, Any],
) -> xr.DataTree:
    """The result of a run."""
    arrays, pieces, stated = recorded, prior, declarations
    attributes = {**attributes, "versions": versions()}
    attributes["glaciers"] = [scope.removesuffix("_") for scope in declarations.scopes]

    def part(source: dict[str, np.ndarray], group: str) -> dict[str, np.ndarray]:
        return {n.split("/")[1]: v for n, v in source.items() if n.startswith(f"{group}/")}

    def seen(name: str) -> bool:
        return _split(name, stated)[1] in DIMENSIONS

    def parameters(source: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        derived = {n: v for n, v in part(source, "derived").items() if not seen(n)}
        return {**part(source, "sites"), **derived}

    def predictions(source: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**part(source, "predictive"), **{n: v for n, v in part(source, "derived").items() if seen(n)}}

    groups = {
        "posterior": parameters(arrays),
        "posterior_predictive": predictions(arrays),
        "log_likelihood": part(arrays, "log_likelihood"),
        "sample_stats": {n: v for n, v in arrays.items() if n in STATISTICS},
        "prior": parameters(pieces),
        "prior_predictive": predictions(pieces),
    }
    glaciers = _glaciers(glacier, observations, stated)
    coords = {"component": ["vx", "vy"]}
    for scope, (_, observed) in glaciers.items():
        coords |= _coordinates(scope, observed)
    tree = {"/": xr.Dataset(attrs=_clean(attributes))}
    for group, variables in groups.items():
        tree[group] = xr.Dataset(
            {name: _variable(name, value, group, stated, sampled, coords) for name, value in variables.items()},
            attrs={"inference_library": "numpyro", "sample_dims": ["chain", "draw"]},
        )
    tree["observed_data"] = xr.Dataset(
        {name: _variable(name, value, "observed_data", stated, sampled, coords) for name, value in observed.items()}
    )
    constants = [_constants(scope, *one, coords, stated) for scope, one in glaciers.items()]
    tree["constant_data"] = xr.merge(constants, combine_attrs="override", compat="identical", join="exact")
    return xr.DataTree.from_dict(tree, name="glacierbayes")


def _glaciers(glacier: Any, observations: Any, stated: Declarations) -> dict[str, tuple[Glacier, Observations]]:
    """Every glacier with its observations, by what stands before its names; none where the model names them itself."""
    if not isinstance(glacier, tuple | list):
        glacier, observations = (glacier,), (observations,)
    scopes = stated.scopes or [""]
    seen = observations if isinstance(observations, tuple | list) else (observations,) * len(glacier)
    if len(scopes) != len(glacier) or not all(isinstance(one, Glacier) for one in glacier):
        return {}
    data = (one if isinstance(one, Observations) else Observations() for one in seen)
    return dict(zip(scopes, zip(glacier, data, strict=True), strict=True))


def _split(name: str, stated: Declarations) -> tuple[str, str]:
    """What stands before a glacier's names, and the name itself."""
    scope = next((scope for scope in stated.scopes if name.startswith(scope)), "")
    return scope, name.removeprefix(scope)


def _variable(
    name: str, value: np.ndarray, group: str, stated: Declarations, sampled: Any, coords: dict
) -> xr.DataArray:
    lead = () if group == "observed_data" else ("chain", "draw")
    grid = stated.grids.get(name)
    scope, bare = _split(name, stated)
    own = tuple(f"{name}_dim_{i}" for i in range(value.ndim - len(lead)))
    if grid:
        own = tuple(f"{name}_{axis}" for axis in grid)
    elif bare in DIMENSIONS:
        own = tuple(axis if axis == "component" else scope + axis for axis in DIMENSIONS[bare])
    dims = (*lead, *own)[: value.ndim]
    described = {**DESCRIPTIONS, **STATISTICS}
    unit, label = stated.units.get(name) or described.get(bare, ("1", name.replace("_", " ")))
    if group == "log_likelihood":
        unit, label = "1", f"log likelihood of {name}"
    attributes: dict[str, Any] = {"units": unit, "long_name": label}
    if group in ("posterior", "prior"):
        attributes["derived"] = int(name not in sampled)
        attributes["weights"] = int(name in stated.weights)
        attributes["function"] = int(grid is not None)
    known = {dim: coords[dim] for dim in dims if dim in coords}
    if grid:
        for axis, (values, units) in grid.items():
            said: dict[str, Any] = {"units": units, "long_name": axis}
            if axis in stated.inputs:
                said["data_at"] = sorted(set(stated.inputs[axis]))
            known[f"{name}_{axis}"] = (f"{name}_{axis}", values, said)
    for dim, size in zip(dims, value.shape, strict=True):
        known.setdefault(dim, np.arange(size))
    return xr.DataArray(value, dims=dims, coords=known, attrs=attributes)


def _coordinates(scope: str, observations: Observations) -> dict[str, Any]:
    coords: dict[str, Any] = {}
    if observations.velocity is not None:
        coords[f"{scope}block"] = np.arange(observations.velocity.velocity.shape[0])
    if observations.geodetic is not None:
        coords[f"{scope}period"] = [
            f"{a:g}-{b:g}" for a, b in zip(observations.geodetic.start, observations.geodetic.end, strict=True)
        ]
    return coords


def _constants(
    scope: str, glacier: Glacier, observations: Observations, coords: dict[str, Any], stated: Declarations
) -> xr.Dataset:
    """Grid and standard errors of one glacier."""
    grid = {
        "bed": (glacier.bed, "m", "bed elevation of the named thickness product"),
        "thickness": (glacier.thickness, "m", "ice thickness of the named product"),
        "mask": (np.asarray(glacier.mask, "int8"), "1", "outline"),
    } | {f"field_{name}": (value, "unstated", name) for name, value in glacier.fields.items()}
    kept = {_split(name, stated): one for name, one in stated.fields.items()}
    grid |= {name: one for (own, name), one in kept.items() if own == scope}
    dataset = xr.Dataset(
        {n: (("y", "x"), np.asarray(v), {"units": u, "long_name": label}) for n, (v, u, label) in grid.items()},
        coords={
            "y": ("y", np.asarray(glacier.y), {"units": "m", "long_name": "projected y"}),
            "x": ("x", np.asarray(glacier.x), {"units": "m", "long_name": "projected x"}),
        },
    )
    velocity, geodetic = observations.velocity, observations.geodetic
    if velocity is not None:
        label = "block of the velocity that a cell counts in, -1 for none"
        dataset["velocity_block"] = (("y", "x"), np.asarray(velocity.block), {"units": "1", "long_name": label})
        for name, values, long_name in (
            ("x", velocity.x, "projected x of a block"),
            ("y", velocity.y, "projected y of a block"),
            ("thickness", velocity.ice_thickness, "mean ice thickness of a block, named product"),
        ):
            attributes = {"units": "m", "long_name": long_name}
            dataset[f"velocity_block_{name}"] = ("block", np.asarray(values), attributes)
        attributes = {"units": "m yr-1", "long_name": "standard error of the velocity product"}
        dataset["velocity_sigma"] = (("block", "component"), np.asarray(velocity.sigma), attributes)
        dataset = dataset.assign_coords(block=coords[f"{scope}block"], component=coords["component"])
    if geodetic is not None:
        attributes = {"units": "m yr-1", "long_name": "published standard error, m w.e. per year"}
        dataset["geodetic_balance_sigma"] = ("period", np.asarray(geodetic.sigma), attributes)
        dataset = dataset.assign_coords(period=coords[f"{scope}period"])
    names = [*dataset.variables, *dataset.dims]
    return dataset.rename({name: f"{scope}{name}" for name in names if name != "component"})


def versions() -> dict[str, str]:
    """Of the packages that the numbers depend on."""
    from glacierbayes import __version__

    return {"glacierbayes": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES}


def _clean(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes as NetCDF takes them."""
    plain = (str, int, float)
    return {k: v if isinstance(v, plain) else json.dumps(v) for k, v in attributes.items()}
