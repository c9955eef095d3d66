"""What is wrong with the diffusivity of the shallow-ice equation, as a function of thickness and slope?

Creep and sliding times one unknown function, D exp f(H, s), which multiplies the surface velocity too; from velocity
and geodetic mass balance of one glacier. The factor is 1 at the reference thickness and slope, where the sampled speed
and share of sliding say how fast ice is: its shape is what is unknown of it, its level is in A and C. Thickness enters
through a scale, mass balance through its own parameters.
"""

import glacierbayes as gb
from glacierbayes import priors

DEPARTURE = 0.7  # of the logarithm: a factor of 2 either way is usual, one of 4 is not
# Of the range. An exponent of thickness or slope that is off by one changes the logarithm by 1 / H a metre: with this
# length that is a standard deviation of the function's rise at the usual thickness, with half the range it is two.
LENGTH = 0.25


def model(
    glacier,
    observations=None,
    *,
    family="gaussian_process",
    lengths="fixed",
    coupling=None,
    balance="auto",
    start=2000.0,
    end=2020.0,
):
    """Options: family ("gaussian_process", "spline", "neural_network"), lengths over which the function turns ("fixed",
    "inferred"), coupling (number of ice thicknesses over which the slope is averaged, or "inferred"), balance, start
    and end (decimal years)."""
    run = priors.begin_run(glacier, observations, (start, end))
    thickness, slope = reference = priors.reference_geometry(run.glacier, by_volume=True, coupling=coupling)
    factor = priors.SPEED_FACTOR_BESIDE_A_FUNCTION
    flow = priors.flow(run.glacier, run.thickness_scale, sliding=True, factor=factor, reference=reference)
    departure = priors.unknown_function(
        "flow_departure",
        family,
        priors.thickness_and_slope_inputs(run.glacier, coupling, LENGTH),
        DEPARTURE,
        "log of the factor on diffusivity and surface velocity, relative to the reference",
        lengths,
        zero_at=(thickness * run.thickness_scale, slope),
    )
    law = priors.average_slope(flow * gb.laws.Correction(departure), coupling)
    return run.simulate(law, balance, relative=True)
