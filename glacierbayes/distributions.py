"""Distributions that priors are made of, by what a glaciologist would say of a parameter."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions.transforms import SigmoidTransform
from scipy import optimize, stats


def lognormal(median: Any, factor: float) -> dist.Distribution:
    """Two thirds of the mass within a factor of the median."""
    return dist.LogNormal(jnp.log(median), np.log(factor))


def inverse_gamma(low: float, high: float) -> dist.Distribution:
    """All but 1 % of its mass above `low`, all but 1 % below `high`: a length that neither vanishes nor grows."""

    def apart(log_shape: float) -> float:
        short, long = stats.invgamma.ppf((0.01, 0.99), np.exp(log_shape))
        return float(np.log(long / short) - np.log(high / low))

    shape = float(np.exp(float(optimize.bisect(apart, np.log(0.2), np.log(1e5)))))  # pyright: ignore[reportArgumentType]
    return dist.InverseGamma(shape, low / stats.invgamma.ppf(0.01, shape))


def fraction(median: float, width: float) -> dist.Distribution:
    """Between 0 and 1, normal on the logit scale."""
    centre = np.log(median / (1 - median))
    return dist.TransformedDistribution(dist.Normal(centre, width), SigmoidTransform())
