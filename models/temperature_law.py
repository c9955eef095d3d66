"""How does the softness of ice depend on its temperature?

One unknown law A(T), shared by several glaciers, each with its own thickness scale, mass balance and discrepancy, from
their surface velocities and geodetic mass balances. A glacier's field "temperature" (degC) is what the law is a
function of; without it, it is the long-term air temperature at the mean elevation of the ice.
"""

import jax.numpy as jnp

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
            run = priors.begin_run(one, seen, (start, end))
            glacier_at_start, temperature = priors.with_temperature(run.glacier)
            creep = law.creep(jnp.asarray(temperature))
            priors.derived("creep_parameter", creep, "Pa-3 s-1", "creep parameter at the glacier's mean temperature")
            histories.append(run._replace(glacier=glacier_at_start).simulate(law, balance))
    return histories
