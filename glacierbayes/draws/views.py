"""Draws by group, by variable and by glacier.

In the draws of several glaciers, what they share is in the groups of the root, and every glacier has a subtree
`glaciers/NAME` with groups of its own. Across glaciers a variable is named `NAME/VARIABLE`.
"""

from __future__ import annotations

import xarray as xr

from glacierbayes.declarations import DIVIDER

GLACIERS = "glaciers"
GROUPS = (
    "posterior",
    "posterior_predictive",
    "log_likelihood",
    "sample_stats",
    "prior",
    "prior_predictive",
    "observed_data",
    "constant_data",
)


def group(draws: xr.DataTree, name: str) -> xr.Dataset:
    """A group of the draws as a Dataset; an empty one where the draws have no such group."""
    return draws[name].to_dataset() if name in draws.children else xr.Dataset()


def glacier_trees(draws: xr.DataTree) -> dict[str, xr.DataTree]:
    """The subtree of every glacier by its name, without what is shared; empty where the draws are of one glacier."""
    if GLACIERS not in draws.children:
        return {}
    return {str(name): tree for name, tree in draws[GLACIERS].children.items()}


def glacier_views(draws: xr.DataTree) -> dict[str, xr.DataTree]:
    """The draws of every glacier as those of one glacier, together with what all of them share.

    Args:
        draws: the result of `infer`.

    Returns:
        Trees by the name of the glacier, "glacier1" and so on. The draws themselves, under the name "", where they
        are of one glacier.
    """
    trees = glacier_trees(draws)
    if not trees:
        return {"": draws}
    views = {}
    for name, tree in trees.items():
        groups = {"/": xr.Dataset(attrs={**draws.attrs, **tree.attrs})}
        for part in GROUPS:
            merged = xr.merge([group(draws, part), group(tree, part)], combine_attrs="override", join="outer")
            if merged.variables:
                groups[part] = merged
        views[name] = xr.DataTree.from_dict(groups, name=name)
    return views


def variables(draws: xr.DataTree, part: str) -> dict[str, xr.DataArray]:
    """Every variable of a group, shared ones first, those of a glacier as `NAME/VARIABLE`.

    Args:
        draws: the result of `infer`.
        part: name of the group, such as "posterior".
    """
    variables = {str(name): values for name, values in group(draws, part).data_vars.items()}
    for glacier, tree in glacier_trees(draws).items():
        variables |= {f"{glacier}{DIVIDER}{name}": values for name, values in group(tree, part).data_vars.items()}
    return variables


def bare_name(name: str) -> str:
    """The name of a variable without that of its glacier."""
    return name.rpartition(DIVIDER)[2]


def attributes(draws: xr.DataTree, name: str) -> dict[str, object]:
    """An attribute of the root and of every glacier, by the name of the glacier; the name of the root is ""."""
    trees = {"": draws, **glacier_trees(draws)}
    return {key: tree.attrs[name] for key, tree in trees.items() if name in tree.attrs}
