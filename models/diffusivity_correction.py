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
    glacier = priors.at_start(glacier, observations, start)
    scale = priors.thickness_scale()
    thickness, slope = reference = priors.reference_geometry(glacier, by_volume=True, coupling=coupling)
    factor = priors.SPEED_FACTOR_BESIDE_A_FUNCTION
    flow = priors.flow(glacier, scale, sliding=True, factor=factor, reference=reference)
    departure = priors.unknown_function(
        "flow_departure",
        family,
        priors.of_the_ice(glacier, coupling, LENGTH),
        DEPARTURE,
        "log of the factor on diffusivity and surface velocity, relative to the reference",
        lengths,
        zero_at=(thickness * scale, slope),
    )
    law = priors.coupled(flow * gb.laws.Correction(departure), coupling)
    mass_balance = priors.mass_balance(glacier, observations, (start, end), balance)
    save_at = () if observations is None else observations.years
    history = gb.simulate(glacier.scaled(scale), law, mass_balance, (start, end), save_at, leave_window=False)
    priors.observe(history, observations, relative=True)
    return history
