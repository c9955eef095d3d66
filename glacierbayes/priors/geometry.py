"""Priors of the glacier's shape: ice thickness, and the surface at the start of the run."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Array

from glacierbayes import constants
from glacierbayes.distributions import lognormal
from glacierbayes.glacier import Glacier
from glacierbayes.observations.observations import Observations
from glacierbayes.sites import record_provenance, sample


def thickness_scale(factor: float = 1.25) -> Array:
    """Samples the factor on the thickness product; the standard products differ by 0.6 to 1.2 on one glacier.

    Args:
        factor: within which two thirds of the prior's mass lie.
    """
    return sample("thickness_scale", lognormal(1.0, factor), "1", "factor on the ice thickness of the named product")


def surface_at_start(glacier: Glacier, observations: Observations | None, start: float) -> Glacier:
    """Returns the glacier with its surface moved from the year of the elevation model to the start, the bed fixed.

    The surface of the ice is moved by the mean rate of the geodetic balance (at 850 kg m-3), uniformly; the pattern
    follows from the flow. Where the year is not known or there is no balance, the surface stays, and the provenance in
    the result records it.
    """
    geodetic = None if observations is None else observations.geodetic
    if glacier.surface_year is None or geodetic is None:
        missing = "its year is not known" if glacier.surface_year is None else "there is no geodetic balance"
        record_provenance("start_surface", f"surface of the elevation model taken for {start:g}: {missing}")
        return glacier
    density = constants.VOLUME_CHANGE_DENSITY / constants.WATER_DENSITY
    rate = float(np.mean(np.asarray(geodetic.balance))) / density
    change = rate * (start - glacier.surface_year)
    record_provenance(
        "start_surface",
        f"surface of {glacier.surface_year:g} moved by {change:+.1f} m on ice to {start:g}, bed fixed, "
        f"by the mean geodetic rate of {rate:.2f} m per year",
    )
    with jax.ensure_compile_time_eval():
        return glacier.raised(change)
