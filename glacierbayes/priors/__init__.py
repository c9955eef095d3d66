"""Priors and blocks that several models share, with their units and their reasons.

A block samples its parameters under the field's names and returns what the physics wants: a law, a balance,
a glacier. A model is a few of them in a row; write your own beside them.
"""

from glacierbayes.distributions import fraction, inverse_gamma, lognormal
from glacierbayes.priors.balance import linear_gradient, mass_balance
from glacierbayes.priors.flow import SPEED_FACTOR, SPEED_FACTOR_BESIDE_A_FUNCTION, coupled, flow
from glacierbayes.priors.functions import FAMILIES, Input, of_the_ice, unknown_function
from glacierbayes.priors.geometry import at_start, thickness_scale
from glacierbayes.priors.glaciers import enumerate_glaciers
from glacierbayes.priors.observe import observe
from glacierbayes.priors.reference import reference_geometry, thickness_and_slope
from glacierbayes.priors.temperature import creep_of_temperature, with_temperature
from glacierbayes.sites import data_at, derived, keep_field, keep_function, sample, scope, state

__all__ = [
    "FAMILIES",
    "SPEED_FACTOR",
    "SPEED_FACTOR_BESIDE_A_FUNCTION",
    "Input",
    "at_start",
    "coupled",
    "creep_of_temperature",
    "data_at",
    "derived",
    "enumerate_glaciers",
    "flow",
    "fraction",
    "inverse_gamma",
    "keep_field",
    "keep_function",
    "linear_gradient",
    "lognormal",
    "mass_balance",
    "observe",
    "of_the_ice",
    "reference_geometry",
    "sample",
    "scope",
    "state",
    "thickness_and_slope",
    "thickness_scale",
    "unknown_function",
    "with_temperature",
]
