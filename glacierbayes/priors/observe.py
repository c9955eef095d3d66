"""The likelihood of everything that was seen, with the priors of its errors."""

from __future__ import annotations

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.distributions.transforms import AffineTransform

from glacierbayes import constants
from glacierbayes.distributions import lognormal
from glacierbayes.observations.observations import Observations
from glacierbayes.sites import sample
from glacierbayes.solvers.history import History

# Tails without a variance make predictions of anything; where the stated errors are too large the fit goes there.
LEAST_FREEDOM = 2.0


def velocity_errors(shape: tuple[int, ...] = ()) -> tuple[Array, Array, Array]:
    """What shallow ice cannot say of a block: its scale (m per year), correlation length (m) and tails (Student-t).

    Correlated over some kilometres (a few valley widths).

    Args:
        shape: for a batch of glaciers.
    """
    wide, far = lognormal(10.0, 2.5).expand(shape), lognormal(2000.0, 2.0).expand(shape)
    scale = "scale of what shallow ice cannot say of a block"
    discrepancy = sample("velocity_discrepancy", wide, "m yr-1", scale)
    length = sample("velocity_correlation_length", far, "m", "correlation length of the discrepancy")
    above = AffineTransform(LEAST_FREEDOM, 1.0, domain=dist.constraints.positive)
    tails = dist.TransformedDistribution(dist.Gamma(2.0, 0.1).expand(shape), above)
    freedom = sample("velocity_degrees_of_freedom", tails, "1", "degrees of freedom of the Student-t")
    return discrepancy, length, freedom


def relative_discrepancy() -> Array:
    """What errors of the thickness from cell to cell leave in the speed of a block, as a share of it.

    Ice flows around a bed that is off until its flux is right again. What is left is the error of the thickness: 10 to
    20 % over a kilometre, and in fast ice more than any number of m per year that fits slow ice too
    (`experiments/diffusivity_twin.py`).
    """
    name = "discrepancy as a share of the speed of the block"
    return sample("velocity_relative_discrepancy", lognormal(0.1, 2.0), "1", name)


def volume_change_density(shape: tuple[int, ...] = ()) -> Array:
    """Density of the volume change, 850 +- 60 kg m-3 (Huss 2013, doi 10.5194/tc-7-877-2013); shape of a batch."""
    prior = dist.Normal(constants.VOLUME_CHANGE_DENSITY, constants.VOLUME_CHANGE_DENSITY_SIGMA).expand(shape)
    return sample("volume_change_density", prior, "kg m-3", "density of the volume change")


def observe(history: History, observations: Observations | None, relative: bool = False) -> None:
    """The likelihood of everything that was seen, with its error model.

    Velocity: see `velocity_errors`. Geodetic balance: the density of the volume change is a latent, its share taken
    out of the sigma. A failed solve has density zero.

    Args:
        history: a run that saved the dates of the observations.
        observations: None for none.
        relative: whether the velocity has a `relative_discrepancy` too.
    """
    numpyro.factor("solver", jnp.where(history.ok, 0.0, -jnp.inf))
    if observations is None:
        return
    if observations.velocity is not None:
        observations.velocity.sample(history, *velocity_errors(), relative_discrepancy() if relative else 0.0)
    if observations.geodetic is not None:
        observations.geodetic.sample(history, volume_change_density())
