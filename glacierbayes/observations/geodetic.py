"""Geodetic mass balance: a volume change turned into mass by somebody with one density for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from glacierbayes import constants
from glacierbayes.errors import InputError

if TYPE_CHECKING:
    from glacierbayes.solvers.history import History


class GeodeticBalance(eqx.Module):
    """Glacier-wide mass balance over periods.

    Attributes:
        balance: (period,) m w.e. per year over the outline, as published with 850 kg m-3.
        sigma: (period,) published standard error, m w.e. per year.
        start, end: decimal years of each period.
    """

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
    def years(self) -> tuple[float, ...]:
        """Dates at which the run must save the thickness."""
        return tuple(sorted({*self.start, *self.end}))

    def predict(self, history: History, density: Float[Array, ""] | float) -> Float[Array, " period"]:
        """What the product would say: modelled balance times 850 over the density of what was lost.

        Args:
            history: a run that saved the start and the end of every period.
            density: of the volume change, kg m-3 (Huss 2013, doi 10.5194/tc-7-877-2013).
        """
        change = [history.mass_change(a, b) for a, b in zip(self.start, self.end, strict=True)]
        return jnp.stack(change) * constants.VOLUME_CHANGE_DENSITY / density

    @property
    def sigma_without_density(self) -> Float[Array, " period"]:
        """The published sigma less the share of the density, which is a latent here, m w.e. per year."""
        share = constants.VOLUME_CHANGE_DENSITY_SIGMA / constants.VOLUME_CHANGE_DENSITY * self.balance
        # a published sigma that is smaller than its own density share cannot be all of it
        return jnp.sqrt(jnp.maximum(self.sigma**2 - share**2, (0.5 * self.sigma) ** 2))

    def sample(self, history: History, density: Float[Array, ""] | float) -> None:
        """The likelihood, one entry a period, as site `geodetic_balance`."""
        expected = self.predict(history, density)
        numpyro.deterministic("modelled_balance", expected)
        numpyro.sample(
            "geodetic_balance",
            dist.Normal(expected, self.sigma_without_density),
            obs=self.balance,
        )


def _sequence(value) -> tuple:
    return tuple(value) if hasattr(value, "__iter__") else (value,)
