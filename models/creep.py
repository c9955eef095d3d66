"""How soft is the ice, if it does not slide?

One creep parameter for the whole glacier and a bed that holds, from its surface velocity and its geodetic
mass balance. Thickness enters through a scale on the named product, mass balance through its own parameters, so
that their uncertainty is in the answer.
"""

from glacierbayes import priors


def model(glacier, observations=None, *, balance="auto", start=2000.0, end=2020.0):
    """Options: balance ("auto", "TemperatureIndex", "LinearGradient"), start and end (decimal years)."""
    run = priors.begin_run(glacier, observations, (start, end))
    law = priors.flow(run.glacier, run.thickness_scale, sliding=False)
    return run.simulate(law, balance)
