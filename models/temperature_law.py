"""How does the softness of ice depend on its temperature?

One unknown law A(T), shared by several glaciers, each with its own thickness scale, mass balance and discrepancy, from
their surface velocities and geodetic mass balances. A glacier's field "temperature" (degC) is what the law is a
function of; without it, it is the long-term air temperature at the mean elevation of the ice.
"""

import jax.numpy as jnp

import glacierbayes as gb
from glacierbayes import priors


def model(
    glacier, observations=None, *, family="gaussian_process", lengths="fixed", balance="auto", start=2000.0, end=2020.0
):
    """Options: family ("gaussian_process", "spline", "neural_network"), lengths over which A(T) turns ("fixed",
    "inferred"), balance, start and end (decimal years)."""
    law = priors.creep_of_temperature(family, lengths)
    histories = []
    for name, one, seen in priors.enumerate_glaciers(glacier, observations):
        with priors.scope(name):
            one, temperature = priors.with_temperature(priors.at_start(one, seen, start))
            creep = law.creep(jnp.asarray(temperature))
            priors.derived("creep_parameter", creep, "Pa-3 s-1", "creep parameter at the glacier's mean temperature")
            scale = priors.thickness_scale()
            mass_balance = priors.mass_balance(one, seen, (start, end), balance)
            save_at = () if seen is None else seen.years
            history = gb.simulate(one.scaled(scale), law, mass_balance, (start, end), save_at, leave_window=False)
            priors.observe(history, seen)
            histories.append(history)
    return histories
