"""Priors of flow laws: creep, sliding, and the length over which the slope is averaged."""

from __future__ import annotations

from typing import Any, Literal, overload

from glacierbayes import constants, laws
from glacierbayes.distributions import fraction, lognormal
from glacierbayes.glacier import Glacier
from glacierbayes.priors.reference import averaging_thicknesses, reference_geometry
from glacierbayes.sites import derived, record_provenance, sample

# With both a corrected law moves Aletsch faster than 500 m per year in one draw of the prior in a hundred
# (`experiments/prior_predictive.py`).
SPEED_FACTOR, SPEED_FACTOR_BESIDE_A_FUNCTION = 4.0, 2.5


@overload
def flow(
    glacier: Glacier,
    scale: Any = 1.0,
    sliding: Literal[True] = True,
    factor: float = SPEED_FACTOR,
    reference: tuple[float, float] | None = None,
) -> laws.SumOfLaws: ...
@overload
def flow(
    glacier: Glacier,
    scale: Any = 1.0,
    *,
    sliding: Literal[False],
    factor: float = SPEED_FACTOR,
    reference: tuple[float, float] | None = None,
) -> laws.Glen: ...
def flow(
    glacier: Glacier,
    scale: Any = 1.0,
    sliding: bool = True,
    factor: float = SPEED_FACTOR,
    reference: tuple[float, float] | None = None,
) -> laws.Glen | laws.SumOfLaws:
    """Samples creep, with sliding or without, by the surface speed at a reference geometry.

    Given a velocity, A and C are correlated at nearly -1 with the thickness scale. The velocity constrains the surface
    speed at a reference thickness and slope, so that speed is sampled, with the share of sliding in it; A and C follow.
    The prior of the speed is that of ice at 0 degC (2.4e-24 Pa-3 s-1, Cuffey and Paterson 2010) within a factor, a wide
    one because the shallow-ice A represents side drag and stiffer ice as well. The share of sliding has median 0.3.

    Args:
        glacier: the glacier before any scaling; not traced by JAX.
        scale: factor on its thickness.
        sliding: whether it slides; then `laws` of the result are creep and sliding.
        factor: two thirds of the prior of the speed lie within this factor; less where an unknown function multiplies
            the law.
        reference: thickness (m) and slope at which speed and share are stated; `reference_geometry` by default.
    """
    thickness, slope = reference_geometry(glacier) if reference is None else reference
    stress = constants.ICE_DENSITY * constants.GRAVITY * thickness * slope
    soft = constants.CREEP_PARAMETER * stress**3 * thickness / 2 * constants.SECONDS_PER_YEAR
    at = f"at {thickness:.0f} m thickness times the scale and a slope of {slope:.3f}"
    record_provenance("reference", f"reference speed: surface speed {at}")
    speed = sample("reference_speed", lognormal(soft, factor), "m yr-1", f"surface speed {at}")
    share = 0.0
    if sliding:
        share = sample("sliding_fraction", fraction(0.3, 1.5), "1", f"share of sliding in the surface speed {at}")
    per_second = speed / constants.SECONDS_PER_YEAR
    drag = stress * scale
    creep = derived(
        "creep_parameter",
        per_second * (1 - share) * 2 / (drag**3 * thickness * scale),
        "Pa-3 s-1",
        "effective creep parameter A of Glen's law, n = 3 (shallow ice: side drag included)",
    )
    law = laws.Glen(A=creep)
    if not sliding:
        return law
    slip = derived(
        "sliding_parameter", per_second * share / drag**3, "m s-1 Pa-3", "sliding parameter C of Weertman's law, m = 3"
    )
    return law + laws.WeertmanSliding(C=slip)


def average_slope(law: laws.FlowLaw, thicknesses: Any) -> laws.FlowLaw:
    """Returns the law at a slope averaged over a number of ice thicknesses (`laws.LongitudinalAverage`).

    Args:
        law: the whole flow law.
        thicknesses: None for the local slope, a number, or "inferred" (`reference.averaging_thicknesses`).

    Raises:
        InputError: another word, or a number that is not above 0.
    """
    number = averaging_thicknesses(thicknesses)
    if number is None:
        return law
    if thicknesses == "inferred":
        name = "length over which the slope is averaged, in ice thicknesses"
        return laws.LongitudinalAverage(law, sample("coupling_thicknesses", lognormal(number, 1.6), "1", name))
    return laws.LongitudinalAverage(law, number)
