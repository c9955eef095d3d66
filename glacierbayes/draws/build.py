"""From recorded arrays to an ArviZ `DataTree` with named dimensions, units and provenance."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from glacierbayes.declarations import DIVIDER, Declarations, ObservedVariable
from glacierbayes.draws.open import FORMAT
from glacierbayes.draws.views import GLACIERS
from glacierbayes.glacier import Glacier

PACKAGES = ("jax", "numpyro", "diffrax", "equinox", "arviz", "numpy", "xarray")
STATISTICS = {
    "diverging": ("1", "the trajectory diverged, for another reason than a failed solve"),
    "solver_failed": ("1", "the trajectory met a failed solve and was rejected"),
    "solver_result": ("1", "code of the first failed solve of the transition, 0 for none"),
    "energy": ("1", "energy of the transition"),
    "lp": ("1", "log density of the unconstrained draw"),
    "log_weight": ("1", "log density of the draw less that of the approximation it is from, up to a constant"),
    "acceptance_rate": ("1", "mean acceptance probability of the trajectory"),
    "step_size": ("1", "step size, in standard deviations of the mass matrix"),
    "n_steps": ("1", "gradients of the trajectory"),
    "tree_depth": ("1", "doublings of the trajectory"),
}
OWN_ATTRIBUTES = ("rgi_id", "thickness_product", "crs")  # that each of several glaciers has


def build_tree(
    recorded: Mapping[str, np.ndarray],
    prior: Mapping[str, np.ndarray],
    observed: Mapping[str, np.ndarray],
    declarations: Declarations,
    sampled: Iterable[str],
    glacier: Any,
    observations: Any,
    attributes: Mapping[str, Any],
) -> xr.DataTree:
    """The result of a run.

    What several glaciers share is in the groups of the root; every glacier has a subtree `glaciers/NAME` with the same
    groups, which is by itself like the result of one glacier.

    Args:
        recorded: arrays (chain, draw, ...) by `sites/NAME`, `derived/NAME`, `log_likelihood/NAME` and
            `predictive/NAME`, and statistics of the sampler by their bare names. NAME is `GLACIER/VARIABLE` where a
            variable belongs to one of several glaciers.
        prior: the same of draws from the prior, (1, draw, ...), by `sites/NAME`, `derived/NAME`, `predictive/NAME`.
        observed: the observed values by the name of the site.
        declarations: what the model declared while it was traced.
        sampled: names of the sampled sites.
        glacier: a `Glacier`, a tuple of them, or None where there is none.
        observations: of each glacier. What the file says of them is in `declarations`.
        attributes: of the root; what NetCDF cannot hold is written as JSON. `solver_results` may give words for the
            codes in the statistic `solver_result`.
    """
    sampled, names = set(sampled), [""] + [f"{name}{DIVIDER}" for name in declarations.glaciers]
    glaciers = _glaciers(glacier, declarations)
    tree: dict[str, xr.Dataset] = {}
    for prefix in names:
        others = [name for name in names if name and prefix != name]
        part = _Part(prefix, others if not prefix else [], declarations, sampled)
        root = f"{GLACIERS}/{prefix.removesuffix(DIVIDER)}/" if prefix else "/"
        groups = part.groups(recorded, prior, observed)
        groups["constant_data"] = _constant_data(glaciers.get(prefix), part)
        # the root keeps empty groups, so that every tree has the same
        tree |= {f"{root}{name}": dataset for name, dataset in groups.items() if not prefix or dataset.variables}
        stated = {key[len(prefix) :]: v for key, v in declarations.provenance.items() if key.startswith(prefix)}
        if prefix:
            own = glaciers.get(prefix)
            stated |= {key: str(getattr(own, key, None) or "") for key in OWN_ATTRIBUTES}
            tree[root.removesuffix("/")] = xr.Dataset(attrs=_netcdf_attributes(stated))
    stated = {**declarations.provenance, **attributes}
    whole = {key: value for key, value in stated.items() if DIVIDER not in key}
    whole |= {"format": FORMAT, "glaciers": declarations.glaciers}
    tree["/"] = xr.Dataset(attrs=_netcdf_attributes(whole))
    return xr.DataTree.from_dict(tree, name="glacierbayes")


class _Part:
    """The variables of one glacier, or of what all glaciers share, with their dimensions and descriptions.

    Args:
        prefix: what stands before the names of its variables.
        others: prefixes of variables that belong elsewhere.
        declarations: of the model.
        sampled: names of the sampled sites.
    """

    def __init__(self, prefix: str, others: list[str], declarations: Declarations, sampled: set[str]):
        self.prefix, self.others, self.declarations, self.sampled = prefix, tuple(others), declarations, sampled
        self.observed: dict[str, ObservedVariable] = self.own(declarations.observed)
        self.modelled = {one.modelled: one for one in self.observed.values()}
        self.coordinates, self.renamed = _coordinates(self.observed)

    def own(self, mapping: Mapping[str, Any], group: str = "") -> dict[str, Any]:
        """What belongs to this part and to a group, by the name inside of the part."""
        start = f"{group}/" if group else ""
        own = {name[len(start) :]: value for name, value in mapping.items() if name.startswith(start)}
        return {
            name[len(self.prefix) :]: value
            for name, value in own.items()
            if name.startswith(self.prefix) and not name.startswith(self.others or ("\0",))
        }

    def groups(self, recorded: Mapping, prior: Mapping, observed: Mapping) -> dict[str, xr.Dataset]:
        """Every group of the tree but `constant_data`, by its name."""
        statistics = {} if self.prefix else {name: v for name, v in recorded.items() if "/" not in name}
        arrays = {
            "posterior": self._parameters(recorded),
            "posterior_predictive": self._predictions(recorded),
            "log_likelihood": self.own(recorded, "log_likelihood"),
            "sample_stats": statistics,
            "prior": self._parameters(prior),
            "prior_predictive": self._predictions(prior),
        }
        groups = {
            group: xr.Dataset(
                {name: self.variable(name, value, group) for name, value in values.items()},
                coords=_sample_coordinates(prior if group.startswith("prior") else recorded) if values else {},
                attrs={"inference_library": "numpyro", "sample_dims": ["chain", "draw"]},
            )
            for group, values in arrays.items()
        }
        if not self.prefix and not groups["posterior"].variables:
            groups["posterior"] = groups["posterior"].assign_coords(_sample_coordinates(recorded))
        groups["observed_data"] = xr.Dataset(
            {name: self.variable(name, value, "observed_data") for name, value in self.own(observed).items()}
        )
        return groups

    def _parameters(self, source: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        derived = {n: v for n, v in self.own(source, "derived").items() if n not in self.modelled}
        return {**self.own(source, "sites"), **derived}

    def _predictions(self, source: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        derived = {n: v for n, v in self.own(source, "derived").items() if n in self.modelled}
        return {**self.own(source, "predictive"), **derived}

    def variable(self, name: str, value: np.ndarray, group: str) -> xr.DataArray:
        """A variable with its dimensions, coordinates, unit and name in words."""
        lead = () if group == "observed_data" else ("chain", "draw")
        full = self.prefix + name
        grid, data = self.declarations.grids.get(full), self.observed.get(name) or self.modelled.get(name)
        own = tuple(f"{name}_dim_{i}" for i in range(value.ndim - len(lead)))
        if grid:
            own = tuple(f"{name}_{axis}" for axis in grid)
        elif data is not None:
            own = self.dims(data.dims, name if name in self.observed else _site_of(self.observed, name))
        dims = (*lead, *own)[: value.ndim]
        default = STATISTICS.get(name, ("1", name.replace("_", " ")))
        units, label = self.declarations.units.get(full, default)
        if group == "log_likelihood":
            units, label = "1", f"log likelihood of {name}"
        attributes: dict[str, Any] = {"units": units, "long_name": label}
        if group in ("posterior", "prior"):
            attributes["derived"] = int(full not in self.sampled)
            attributes["weights"] = int(full in self.declarations.weights)
            attributes["function"] = int(grid is not None)
        if group == "observed_data" and data is not None:
            attributes |= {"modelled": data.modelled, "statistics": " ".join(data.statistics)}
        known = {dim: self.coordinates[dim] for dim in dims if dim in self.coordinates}
        for axis, (values, axis_units) in (grid or {}).items():
            described: dict[str, Any] = {"units": axis_units, "long_name": axis}
            if axis in self.declarations.inputs:
                described["data_at"] = sorted(set(self.declarations.inputs[axis]))
            known[f"{name}_{axis}"] = (f"{name}_{axis}", values, described)
        for dim, size in zip(dims, value.shape, strict=True):
            known.setdefault(dim, np.arange(size))
        return xr.DataArray(value, dims=dims, coords=known, attrs=attributes)

    def dims(self, dims: Iterable[str], site: str) -> tuple[str, ...]:
        """The dimensions in the file of the observation at a site.

        They have the names that the observation gives them, except where an earlier observation has other values along
        a dimension of the same name: that becomes SITE_DIM.
        """
        return tuple(self.renamed.get((site, dim), dim) for dim in dims)


def _site_of(observed: Mapping[str, ObservedVariable], modelled: str) -> str:
    return next(name for name, one in observed.items() if one.modelled == modelled)


def _sample_coordinates(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    shape = next((value.shape for value in arrays.values()), (0, 0))
    return {"chain": np.arange(shape[0]), "draw": np.arange(shape[1])}


def _coordinates(observed: Mapping[str, ObservedVariable]) -> tuple[dict[str, Any], dict[tuple[str, str], str]]:
    """Coordinates by dimension, and the new name of a dimension whose name two observations use differently."""
    coordinates: dict[str, Any] = {}
    renamed: dict[tuple[str, str], str] = {}
    for site, one in observed.items():
        for dim, (_, values, units, long_name) in one.coordinates.items():
            used = coordinates.get(dim)
            if used is not None and not np.array_equal(used[1], values):
                renamed[site, dim] = dim = f"{site}_{dim}"
            coordinates[dim] = (dim, values, {"units": units, "long_name": long_name})
    return coordinates, renamed


def _glaciers(glacier: Any, declarations: Declarations) -> dict[str, Glacier]:
    """Every glacier by what stands before the names of its variables; none where that cannot be told."""
    each = glacier if isinstance(glacier, tuple | list) else (glacier,)
    prefixes = [f"{name}{DIVIDER}" for name in declarations.glaciers] or [""]
    if len(prefixes) != len(each) or not all(isinstance(one, Glacier) for one in each):
        return {}
    return dict(zip(prefixes, each, strict=True))


def _constant_data(glacier: Glacier | None, part: _Part) -> xr.Dataset:
    """The grid of one glacier with its fields, and the constants of its observations."""
    dataset = xr.Dataset()
    if glacier is not None:
        grid = {
            "bed": (glacier.bed, "m", "bed elevation of the named thickness product"),
            "thickness": (glacier.thickness, "m", "ice thickness of the named product"),
            "mask": (np.asarray(glacier.mask, "int8"), "1", "outline"),
        } | {f"field_{name}": (value, "unstated", name) for name, value in glacier.fields.items()}
        grid |= part.own(part.declarations.fields)
        dataset = xr.Dataset(
            {n: (("y", "x"), np.asarray(v), {"units": u, "long_name": label}) for n, (v, u, label) in grid.items()},
            coords={
                "y": ("y", np.asarray(glacier.y), {"units": "m", "long_name": "projected y"}),
                "x": ("x", np.asarray(glacier.x), {"units": "m", "long_name": "projected x"}),
            },
        )
    for site, one in part.observed.items():
        for name, (dims, values, units, long_name) in one.constants.items():
            attributes = {"units": units, "long_name": long_name}
            dataset[name] = (part.dims(dims, site), values, attributes)
    return dataset.assign_coords({dim: c for dim, c in part.coordinates.items() if dim in dataset.dims})


def versions() -> dict[str, str]:
    """Versions of this package and of those that the numbers depend on, by name."""
    from glacierbayes import __version__

    return {"glacierbayes": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES}


def _netcdf_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as NetCDF takes them: text and numbers as they are, all else as JSON."""
    plain = (str, int, float)
    return {k: v if isinstance(v, plain) else json.dumps(v) for k, v in attributes.items()}
