"""Draws of several glaciers, glacier by glacier, under the names that draws of one have."""

from __future__ import annotations

import json

import xarray as xr


def glacier_views(draws: xr.DataTree) -> dict[str, xr.DataTree]:
    """Of every glacier its own part; of one glacier the draws themselves.

    Args:
        draws: the result of `infer`.

    Returns:
        By name, "glacier1" and so on; the only name is "" where the model has no glaciers by name. What is common to
        all glaciers (a shared law) is in every part.
    """
    names = json.loads(draws.attrs.get("glaciers", "[]"))
    if not names:
        return {"": draws}
    ids = str(draws.attrs.get("rgi_id", "")).split(", ")
    views = {}
    for number, name in enumerate(names):
        others = tuple(f"{other}_" for other in names if other != name)
        groups = {}
        for path, node in draws.subtree_with_keys:
            dataset = node.to_dataset()
            foreign = [v for v in [*dataset.variables, *dataset.dims] if str(v).startswith(others)]
            dataset = dataset.drop_vars([v for v in foreign if v in dataset.variables])
            own = {v: str(v).removeprefix(f"{name}_") for v in [*dataset.variables, *dataset.dims]}
            groups["/" if path == "." else path] = dataset.rename({v: new for v, new in own.items() if v != new})
        del groups["/"].attrs["glaciers"]  # it is one
        groups["/"].attrs["rgi_id"] = ids[number] if number < len(ids) else ""
        views[name] = xr.DataTree.from_dict(groups)
    return views
