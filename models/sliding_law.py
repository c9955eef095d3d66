"""How does sliding depend on the thickness and the slope of the ice?

Weertman's law times an unknown function of both, over creep that is the same everywhere, from surface velocity and
geodetic mass balance of one glacier. The factor is 1 at the reference thickness and slope, where the sampled speed
and share of sliding say how much slides: its shape is what is unknown of it, its level is Weertman's C. The slope
is averaged over two ice thicknesses. Thickness enters through a scale, mass balance through its own
parameters.
"""

import glacierbayes as gb
from glacierbayes import priors

DEPARTURE = 0.7  # of the logarithm: a factor of 2 either way is usual, one of 4 is not
# In valley glaciers 1 to 3 (Kamb and Echelmeyer 1986). Flow does not depend on the slope of a single cell: without an
# average thick ice has to smooth the surface in the first years, and the function compensates for the rest.
COUPLING = 2.0


def model(
    glacier,
    observations=None,
    *,
    family="gaussian_process",
    lengths="fixed",
    coupling=COUPLING,
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
    creep, sliding = priors.flow(
        run.glacier, run.thickness_scale, sliding=True, factor=factor, reference=reference
    ).laws
    departure = priors.unknown_function(
        "sliding_departure",
        family,
        priors.thickness_and_slope_inputs(run.glacier, coupling),
        DEPARTURE,
        "log of the factor on Weertman's sliding, relative to the reference",
        lengths,
        zero_at=(thickness * run.thickness_scale, slope),
    )
    law = priors.average_slope(creep + sliding * gb.laws.Correction(departure), coupling)
    return run.simulate(law, balance)
