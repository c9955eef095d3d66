"""Priors and blocks of models, with units and sources.

A block samples its parameters under the standard names of the field and returns an object of the physics: a flow law, a
mass balance, a glacier. A model calls a few blocks; a block of your own is a function that does the same.
"""

from typing import Never

from glacierbayes.distributions import fraction, inverse_gamma, lognormal
from glacierbayes.errors import renamed
from glacierbayes.priors.balance import linear_gradient, mass_balance
from glacierbayes.priors.flow import SPEED_FACTOR, SPEED_FACTOR_BESIDE_A_FUNCTION, average_slope, flow
from glacierbayes.priors.functions import FAMILIES, Input, thickness_and_slope_inputs, unknown_function
from glacierbayes.priors.geometry import surface_at_start, thickness_scale
from glacierbayes.priors.glaciers import enumerate_glaciers
from glacierbayes.priors.observe import observe
from glacierbayes.priors.reference import reference_geometry, thickness_and_slope
from glacierbayes.priors.run import GlacierRun, begin_run
from glacierbayes.priors.temperature import (
    CREEP_DEPARTURE,
    ICE_TEMPERATURES,
    TYPICAL_CREEP,
    creep_of_temperature,
    with_temperature,
)
from glacierbayes.sites import derived, mark_data, record_provenance, sample, scope, store_field, store_function

__all__ = [
    "CREEP_DEPARTURE",
    "FAMILIES",
    "ICE_TEMPERATURES",
    "SPEED_FACTOR",
    "SPEED_FACTOR_BESIDE_A_FUNCTION",
    "TYPICAL_CREEP",
    "GlacierRun",
    "Input",
    "average_slope",
    "begin_run",
    "creep_of_temperature",
    "derived",
    "enumerate_glaciers",
    "flow",
    "fraction",
    "inverse_gamma",
    "linear_gradient",
    "lognormal",
    "mark_data",
    "mass_balance",
    "observe",
    "record_provenance",
    "reference_geometry",
    "sample",
    "scope",
    "store_field",
    "store_function",
    "surface_at_start",
    "thickness_and_slope",
    "thickness_and_slope_inputs",
    "thickness_scale",
    "unknown_function",
    "with_temperature",
]

_RENAMED = {
    "at_start": "priors.surface_at_start, or priors.begin_run",
    "coupled": "priors.average_slope",
    "data_at": "priors.mark_data",
    "keep_field": "priors.store_field",
    "keep_function": "priors.store_function",
    "of_the_ice": "priors.thickness_and_slope_inputs",
    "relative_discrepancy": "gb.Velocity(..., relative_discrepancy=True)",
    "several": "priors.enumerate_glaciers",
    "state": "priors.record_provenance",
    "velocity_errors": "gb.Velocity, which samples its own errors",
    "volume_change_density": "gb.GeodeticBalance, which samples its own errors",
}


def __getattr__(name: str) -> Never:
    raise renamed("glacierbayes.priors", name, _RENAMED)
