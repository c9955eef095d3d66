"""The likelihood of all observations."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpyro

from glacierbayes.observations.observations import Observations
from glacierbayes.observations.velocity import Velocity


def observe(result: Any, observations: Observations | None, relative: bool = False) -> None:
    """Adds the likelihood of all observations to the model, with the priors of their errors.

    Each kind of observation has its own prediction and error model: see its class. A run whose solve failed has
    density zero.

    Args:
        result: what the model computes: a `History` that saved the dates of the observations, or whatever the
            observations predict from where there is no glacier.
        observations: None for none.
        relative: whether the velocity has a discrepancy in proportion to the speed too.
    """
    ok = getattr(result, "ok", None)
    if ok is not None:
        numpyro.factor("solver", jnp.where(ok, 0.0, -jnp.inf))
    if observations is None:
        return
    for kind in observations.kinds:
        if relative and isinstance(kind, Velocity):
            kind = dataclasses.replace(kind, relative_discrepancy=True)
        kind.observe(result)
