"""Priors of the mass balance."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from glacierbayes import constants
from glacierbayes.distributions import lognormal
from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.observations.observations import Observations
from glacierbayes.physics.mass_balance import LinearGradient, MassBalance, TemperatureIndex
from glacierbayes.sites import derived, record_provenance, sample

DEFAULT_EXPECTED_BALANCE = -0.5  # m w.e. per year, where none was observed


def mass_balance(
    glacier: Glacier, observations: Observations | None, years: tuple[float, float], kind: str = "auto"
) -> MassBalance:
    """Samples a mass balance: a temperature index where the climate covers the years, else a linear gradient.

    OGGM's calibrated factors were fitted to the same geodetic balance and are no prior. The priors of melt factor,
    precipitation factor and temperature bias have the spread of such calibrations over glaciers (Schuster et al. 2023,
    doi 10.1017/aog.2023.57). That of the equilibrium line is centred at the glacier's median elevation (Braithwaite and
    Raper 2009, doi 10.3189/172756410790595930).

    Args:
        glacier: the glacier at the start, with its climate; not traced by JAX.
        observations: their geodetic balance only decides in which coordinates the balance is sampled.
        years: start and end of the run, decimal years.
        kind: "auto", "TemperatureIndex" or "LinearGradient".

    Raises:
        InputError: the kind is unknown, or it is "TemperatureIndex" and the climate is missing or too short.
    """
    geodetic = None if observations is None else observations.geodetic
    expected = DEFAULT_EXPECTED_BALANCE if geodetic is None else float(np.mean(np.asarray(geodetic.balance)))
    covered = glacier.climate is not None and glacier.climate.covers(*years)
    if kind == "auto":
        kind = "TemperatureIndex" if covered else "LinearGradient"
    if kind == "TemperatureIndex":
        record_provenance("balance_model", kind)
        return _temperature_index(glacier, years, expected)
    if kind == "LinearGradient":
        record_provenance("balance_model", kind)
        with jax.ensure_compile_time_eval():
            heights = np.asarray(glacier.surface)[np.asarray(glacier.thickness) > 0]
        return linear_gradient(float(np.median(heights)), float(np.mean(heights)))
    raise InputError(f'option balance is "{kind}", expected "auto", "TemperatureIndex" or "LinearGradient"')


def linear_gradient(typical: Any, mean: Any) -> LinearGradient:
    """Samples a balance that is linear in elevation.

    Given the balance of the whole glacier, equilibrium line and gradient are strongly correlated. The mean balance on
    the first surface is therefore sampled instead of the line, under the prior that follows from that of the line:
    normal, with 200 m about its typical elevation.

    Args:
        typical: typical elevation of the equilibrium line, m.
        mean: mean elevation of the ice at the start, m.
    """
    gradient = sample(
        "balance_gradient", lognormal(0.0065, 1.5), "yr-1", "mass balance gradient, m w.e. per year per m"
    )
    first = dist.Normal(gradient * (mean - typical), gradient * 200.0)
    balance = sample("first_balance", first, "m yr-1", "mean balance on the first surface, m w.e. per year")
    line = derived("equilibrium_line", mean - balance / gradient, "m", "equilibrium line altitude")
    return LinearGradient(line, gradient)


def _temperature_index(glacier: Glacier, years: tuple[float, float], expected: float) -> TemperatureIndex:
    """Samples a temperature index model.

    Given the balance of the whole glacier, melt factor, precipitation factor and temperature bias are strongly
    correlated on a curved surface. The precipitation factor is therefore sampled as the log of its ratio to the one
    that would give the expected balance on the starting surface. That is a shift, which leaves its prior as it is.
    """
    trial = TemperatureIndex(glacier.climate, 1.0, 1.0, 0.0)
    trial.breaks(*years)  # refuses a climate that is too short
    with jax.ensure_compile_time_eval():
        ice = np.asarray(glacier.thickness) > 0
        heights = jnp.quantile(jnp.asarray(np.asarray(glacier.surface)[ice]), (jnp.arange(20) + 0.5) / 20)
    melt_factor = sample("melt_factor", lognormal(5.0, 1.6), "kg m-2 d-1 K-1", "melt factor")
    bias = sample("temperature_bias", dist.Normal(0.0, 1.5), "K", "temperature bias")
    biased = TemperatureIndex(glacier.climate, melt_factor, 1.0, bias)
    calendar = jnp.arange(int(np.floor(years[0])), int(np.ceil(years[1])))
    snow, degrees = jax.vmap(lambda year: biased.year(heights, year))(calendar)
    needed = constants.WATER_DENSITY * expected + melt_factor * jnp.mean(degrees)
    ratio = needed / jnp.mean(snow)
    closing = 0.5 * (ratio + jnp.sqrt(ratio**2 + 0.1**2))  # positive, whatever the sampler tries
    departure = sample(
        "precipitation_departure",
        dist.Normal(np.log(2.0) - jnp.log(closing), np.log(1.5)),
        "1",
        f"log of the precipitation factor over the one that gives {expected:.2f} m w.e. per year on the first surface",
    )
    factor = derived("precipitation_factor", closing * jnp.exp(departure), "1", "precipitation factor")
    return TemperatureIndex(glacier.climate, melt_factor, factor, bias)
