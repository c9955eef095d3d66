"""Geodetic mass balance: a volume change that was converted to mass with one density for all glaciers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float

from glacierbayes import constants
from glacierbayes.declarations import Variable
from glacierbayes.errors import InputError
from glacierbayes.observations.base import Observation
from glacierbayes.sites import sample

if TYPE_CHECKING:
    from glacierbayes.solvers.history import History


class GeodeticBalance(Observation):
    """Mass balance of the whole glacier, averaged over periods.

    The density of the volume change, 850 +- 60 kg m-3 (Huss 2013, doi 10.5194/tc-7-877-2013), is a parameter that all
    periods share; its share is taken out of the published standard error.

    Attributes:
        balance: (period,) m w.e. per year over the outline, as published with 850 kg m-3.
        sigma: (period,) published standard error, m w.e. per year.
        start, end: decimal years of each period.
    """

    name = "geodetic_balance"
    units = "m yr-1"
    long_name = "geodetic mass balance, m w.e. per year, as published at 850 kg m-3"
    dims = ("period",)

    balance: Float[Array, " period"]
    sigma: Float[Array, " period"]
    start: tuple[float, ...] = eqx.field(static=True)
    end: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, balance, sigma, start, end):
        """Takes scalars or sequences of equal length.

        Raises:
            InputError: lengths differ, a balance is not a number, a sigma is not positive, or a period ends
                before it starts.
        """
        self.balance = jnp.atleast_1d(jnp.asarray(balance, float))
        self.sigma = jnp.atleast_1d(jnp.asarray(sigma, float))
        self.start = tuple(float(t) for t in _sequence(start))
        self.end = tuple(float(t) for t in _sequence(end))
        lengths = self.balance.size, self.sigma.size, len(self.start), len(self.end)
        if len(set(lengths)) > 1:
            raise InputError(
                f"GeodeticBalance: balance, sigma, start and end have lengths {lengths}, "
                "expected one balance, sigma, start and end for every period"
            )
        if not bool(jnp.all(jnp.isfinite(self.balance))):
            raise InputError(
                f"GeodeticBalance: balance is {self.balance}, expected m w.e. per year; leave out periods without one"
            )
        if not bool(jnp.all(self.sigma > 0)):
            raise InputError(f"GeodeticBalance: sigma is {self.sigma}, expected positive m w.e. per year")
        if any(a >= b for a, b in zip(self.start, self.end, strict=True)):
            raise InputError(f"GeodeticBalance: periods {self.start} to {self.end} do not run forward")

    @property
    def modelled_name(self) -> str:
        """Name of the variable with the prediction without noise."""
        return "modelled_balance"

    @property
    def modelled_long_name(self) -> str:
        """The predicted quantity in words."""
        return "modelled geodetic mass balance, m w.e. per year, without noise"

    @property
    def observed(self) -> Float[Array, " period"]:
        """Published balance of every period, m w.e. per year."""
        return self.balance

    @property
    def years(self) -> tuple[float, ...]:
        """Decimal years of the starts and the ends of the periods, at which the run must save the thickness."""
        return tuple(sorted({*self.start, *self.end}))

    @property
    def coordinates(self) -> dict[str, Any]:
        """The periods as text, such as "2000-2020"."""
        return {"period": [f"{a:g}-{b:g}" for a, b in zip(self.start, self.end, strict=True)]}

    @property
    def constants(self) -> dict[str, Variable]:
        """The published standard errors as stored in the result, m w.e. per year."""
        label = "published standard error, m w.e. per year"
        return {"geodetic_balance_sigma": Variable(self.dims, self.sigma, self.units, label)}

    @property
    def sigma_without_density(self) -> Float[Array, " period"]:
        """The published standard error without the part that comes from the density, m w.e. per year."""
        share = constants.VOLUME_CHANGE_DENSITY_SIGMA / constants.VOLUME_CHANGE_DENSITY * self.balance
        # a published standard error that is smaller than its own share of the density cannot be all of it
        return jnp.sqrt(jnp.maximum(self.sigma**2 - share**2, (0.5 * self.sigma) ** 2))

    def predict(self, result: History) -> Float[Array, " period"]:
        """Modelled mass balance of every period, m w.e. per year.

        Args:
            result: a run that saved the start and the end of every period.
        """
        change = [result.mass_change(a, b) for a, b in zip(self.start, self.end, strict=True)]
        return jnp.stack(change)

    def sample_errors(self) -> dict[str, Array]:
        """Samples the density of the volume change, kg m-3."""
        prior = dist.Normal(constants.VOLUME_CHANGE_DENSITY, constants.VOLUME_CHANGE_DENSITY_SIGMA)
        return {"density": sample("volume_change_density", prior, "kg m-3", "density of the volume change")}

    def expectation(self, predicted: Float[Array, " period"], errors: Mapping[str, Any]) -> Float[Array, " period"]:
        """What the product would state: the modelled balance times 850 over the density of what was lost.

        Args:
            predicted: modelled balance, m w.e. per year.
            errors: "density" of the volume change, kg m-3.
        """
        return predicted * constants.VOLUME_CHANGE_DENSITY / errors["density"]

    def distribution(self, predicted: Float[Array, " period"], errors: Mapping[str, Any]) -> dist.Distribution:
        """Independent normal distributions with `sigma_without_density`, one for each period."""
        return dist.Normal(predicted, self.sigma_without_density)


def _sequence(value) -> tuple:
    return tuple(value) if hasattr(value, "__iter__") else (value,)
