"""How soft is the ice and how much does it slide?

One creep parameter and one sliding parameter for the whole glacier, from its surface velocity and its geodetic
mass balance. Thickness enters through a scale on the named product, mass balance through its own parameters, so
that their uncertainty is in the answer.
"""

from glacierbayes import priors


def model(glacier, observations=None, *, coupling=None, balance="auto", start=2000.0, end=2020.0):
    """Options: coupling (number of ice thicknesses over which the slope is averaged, or "inferred"), balance ("auto",
    "TemperatureIndex", "LinearGradient"), start and end (decimal years)."""
    run = priors.begin_run(glacier, observations, (start, end))
    law = priors.average_slope(priors.flow(run.glacier, run.thickness_scale, sliding=True), coupling)
    return run.simulate(law, balance)
