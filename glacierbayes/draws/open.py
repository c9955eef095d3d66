"""Draws from a tree in memory or from a NetCDF file, of this format or of an earlier one."""

from __future__ import annotations

import json
from pathlib import Path

import xarray as xr

from glacierbayes.draws.views import GLACIERS, group, variables
from glacierbayes.errors import InputError

FORMAT = 2  # the number that `build_tree` writes; files without a number are of format 1
EARLIER_DIVIDER = "_"  # between glacier and variable in format 1: glacier1_thickness_scale


def open_draws(draws: xr.DataTree | str | Path) -> xr.DataTree:
    """The draws in memory, from a tree or from a NetCDF file, which is closed again.

    Files of an earlier version of the package are read as well.

    Args:
        draws: the result of `infer`, or the path of its NetCDF file.

    Raises:
        InputError: the file is missing, unreadable, of a later format, or holds no posterior with dimensions
            (chain, draw).
    """
    if isinstance(draws, xr.DataTree):
        name, tree = "draws", draws
    else:
        path = Path(draws)
        name, tree = str(path), _read(path)
    written = int(tree.attrs.get("format", 1))
    if written > FORMAT:
        raise InputError(
            f"{name}: has format {written}, expected at most {FORMAT}: update glacierbayes, a later one wrote it"
        )
    if written == 1 and json.loads(tree.attrs.get("glaciers", "[]")):
        tree = _subtrees_from_prefixes(tree)
    if "posterior" not in tree.children:
        groups = ", ".join(tree.children) or "none"
        raise InputError(
            f"{name}: no group 'posterior' (groups: {groups}), expected the draws that `infer` writes; "
            "give the file named by its --output"
        )
    posterior = variables(tree, "posterior")
    wrong = [key for key, values in posterior.items() if not {"chain", "draw"} <= set(values.dims)]
    empty = not posterior or any(0 in values.shape for values in posterior.values())
    if wrong or empty:
        what = (
            f"posterior/{wrong[0]} has dimensions {posterior[wrong[0]].dims}" if wrong else "posterior holds no draws"
        )
        raise InputError(
            f"{name}: {what}, expected variables with dimensions (chain, draw); give the file that `infer` wrote"
        )
    return tree


def _read(path: Path) -> xr.DataTree:
    if not path.is_file():
        parts = path.with_name(path.name + ".parts")
        mend = "run `infer` again with --resume to finish it" if parts.is_dir() else "give the file that `infer` wrote"
        raise InputError(f"{path}: no such file, expected draws in NetCDF; {mend}")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            return tree.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: cannot be read as NetCDF-4 ({reason});\n"
            "expected the draws that `infer` writes; copy or make it again"
        ) from error


def _subtrees_from_prefixes(tree: xr.DataTree) -> xr.DataTree:
    """Draws of several glaciers of format 1, in which `glacier1_` stood before names, as they are stored now."""
    names = json.loads(tree.attrs["glaciers"])
    ids = str(tree.attrs.get("rgi_id", "")).split(", ")
    nodes = {"/": xr.Dataset(attrs=dict(tree.attrs))}
    for number, name in enumerate(names):
        rgi_id = ids[number] if number < len(ids) else ""
        nodes[f"{GLACIERS}/{name}"] = xr.Dataset(attrs={"rgi_id": rgi_id})
    for part in tree.children:
        dataset = group(tree, part)
        prefixes = {name: f"{name}{EARLIER_DIVIDER}" for name in names}
        # what all glaciers share, and then what belongs to each
        shared = [key for key in dataset.data_vars if not str(key).startswith(tuple(prefixes.values()))]
        nodes[part] = dataset[shared]
        for name, prefix in prefixes.items():
            own = dataset[[key for key in dataset.data_vars if str(key).startswith(prefix)]]
            renamed = {key: str(key).removeprefix(prefix) for key in [*own.variables, *own.dims]}
            own = own.rename({key: new for key, new in renamed.items() if key != new})
            if own.data_vars:
                nodes[f"{GLACIERS}/{name}/{part}"] = own
    return xr.DataTree.from_dict(nodes, name=tree.name)
