"""How soft is the ice and how much does it slide?

One creep parameter and one sliding parameter for the whole glacier, from its surface velocity and its geodetic
mass balance. Thickness enters through a scale on the named product, mass balance through its own parameters, so
that their uncertainty is in the answer.
"""

import glacierbayes as gb
from glacierbayes import priors


def model(glacier, observations=None, *, coupling=None, balance="auto", start=2000.0, end=2020.0):
    """Options: coupling (number of ice thicknesses over which the slope is averaged, or "inferred"), balance ("auto",
    "TemperatureIndex", "LinearGradient"), start and end (decimal years)."""
    glacier = priors.at_start(glacier, observations, start)
    scale = priors.thickness_scale()
    law = priors.coupled(priors.flow(glacier, scale, sliding=True), coupling)
    mass_balance = priors.mass_balance(glacier, observations, (start, end), balance)
    save_at = () if observations is None else observations.years
    history = gb.simulate(glacier.scaled(scale), law, mass_balance, (start, end), save_at, leave_window=False)
    priors.observe(history, observations)
    return history
