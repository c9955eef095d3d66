"""Names for the glaciers of a model that has several, each with its own sites."""

from __future__ import annotations

from typing import Any

from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.observations.observations import Observations


def enumerate_glaciers(glacier: Any, observations: Any) -> list[tuple[str, Glacier, Observations | None]]:
    """Returns the name ("glacier1" and so on), the data and the observations of every glacier of a model.

        for name, one, seen in priors.enumerate_glaciers(glacier, observations):
            with priors.scope(name):
                scale = priors.thickness_scale()  # the sites glacier1/thickness_scale, glacier2/thickness_scale ...

    Args:
        glacier: one glacier, or a tuple of them.
        observations: one for each glacier, in a tuple where there are several; None for none at all.

    Raises:
        InputError: the number of observations is not the number of glaciers.
    """
    glaciers = glacier if isinstance(glacier, tuple | list) else (glacier,)
    sets = observations if isinstance(observations, tuple | list) else (observations,) * len(glaciers)
    if len(sets) != len(glaciers):
        raise InputError(f"{len(glaciers)} glaciers and {len(sets)} sets of observations: give one of each")
    return [(f"glacier{i + 1}", one, its) for i, (one, its) in enumerate(zip(glaciers, sets, strict=True))]
