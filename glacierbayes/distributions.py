"""Distributions for priors, stated by their median and quantiles."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions.transforms import SigmoidTransform
from scipy import optimize, stats


def lognormal(median: Any, factor: float) -> dist.Distribution:
    """A lognormal distribution, with two thirds of its mass within a factor of its median.

    Args:
        median: of the distribution, in the unit of the parameter.
        factor: above 1; the logarithm has the standard deviation log(factor).
    """
    return dist.LogNormal(jnp.log(median), np.log(factor))


def inverse_gamma(low: float, high: float) -> dist.Distribution:
    """An inverse gamma distribution with its 1 % quantile at `low` and its 99 % quantile at `high`.

    It keeps a correlation length away from zero and from infinity.
    """

    def excess_of_log_ratio(log_shape: float) -> float:
        short, long = stats.invgamma.ppf((0.01, 0.99), np.exp(log_shape))
        return float(np.log(long / short) - np.log(high / low))

    shape = float(np.exp(float(optimize.bisect(excess_of_log_ratio, np.log(0.2), np.log(1e5)))))  # pyright: ignore[reportArgumentType]
    return dist.InverseGamma(shape, low / stats.invgamma.ppf(0.01, shape))


def fraction(median: float, width: float) -> dist.Distribution:
    """A distribution between 0 and 1 that is normal on the logit scale.

    Args:
        median: of the distribution, between 0 and 1.
        width: standard deviation of the logit.
    """
    centre = np.log(median / (1 - median))
    return dist.TransformedDistribution(dist.Normal(centre, width), SigmoidTransform())
