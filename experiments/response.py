"""What a glacier would show, interpolated from exact solves: for studies that fit the same glaciers many times.

Where a law enters a glacier through one number, the creep parameter at its temperature, everything that is seen of it
is a smooth function of that number, the thickness scale and the balance: Chebyshev polynomials of four parameters.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import glacierbayes as gb
from glacierbayes import priors

YEARS = (2000.0, 2020.0)
GRADIENT, GRADIENT_FACTOR = 0.0065, 1.25  # prior of the balance gradient, per year
TOLERANCE = 0.03  # m
DROP = 25.0  # of the log likelihood, at which a table may end


class Response(eqx.Module):
    """Block velocities and mass change as polynomials of log A, log scale, balance and its gradient.

    Attributes:
        middle, half: centre and half-width of the box, by parameter.
        coefficients: (n0, n1, n2, n3, outputs) of Chebyshev polynomials.
        height: mean elevation of the surface, at which the balance is stated, m.
        observations: of the glacier.
    """

    middle: Float[Array, " 4"]
    half: Float[Array, " 4"]
    coefficients: Float[Array, "n0 n1 n2 n3 out"]
    height: float
    observations: gb.Observations

    def seen(self, creep: Array, scale: Array, balance: gb.mass_balance.LinearGradient) -> Seen:
        """What `simulate` would return, as far as the observations ask."""
        at = balance_at(creep, scale, balance, self.height)
        x = (at - self.middle) / self.half
        outside = jnp.sum(jnp.square(jnp.maximum(jnp.abs(x) - 1, 0.0)))
        values = self.coefficients
        for i, size in enumerate(self.coefficients.shape[:4]):
            values = jnp.tensordot(_polynomials(jnp.clip(x[i], -1, 1), size), values, 1)
        velocity = _unscale(values[:-1], at).reshape(-1, 2)
        return Seen(velocity, values[-1], outside, self.observations)


class Exact(eqx.Module):
    """The same from a run."""

    glacier: gb.Glacier
    observations: gb.Observations
    height: float

    @staticmethod
    def of(glacier: gb.Glacier, observations: gb.Observations) -> Exact:
        """Of one glacier."""
        return Exact(glacier, observations, mean_height(glacier))

    def seen(self, creep: Array, scale: Array, balance: gb.mass_balance.LinearGradient) -> Seen:
        """What the observations ask of `simulate`."""
        at = balance_at(creep, scale, balance, self.height)
        values = exact(self.glacier, self.observations, at, self.height)
        return Seen(values[:-1].reshape(-1, 2), values[-1], jnp.zeros(()), self.observations)


class Seen(eqx.Module):
    """Stands for a `History` in the likelihood.

    Attributes:
        velocity: (block, 2), m per year.
        change: m w.e. per year.
        outside: squared distance to the box of the table, in its half-widths.
        observations: of the glacier.
    """

    velocity: Float[Array, "block 2"]
    change: Float[Array, ""]
    outside: Float[Array, ""]
    observations: gb.Observations
    ok: bool = True

    def surface_velocity(self, year: float) -> tuple[Array, Array]:
        """The blocks', in every cell."""
        cells = self.observations.velocity.block
        inside = cells >= 0
        return tuple(jnp.where(inside, part[cells], 0.0) for part in self.velocity.T)

    def mass_change(self, start: float, end: float) -> Array:
        """Over the whole run."""
        return self.change


def balance_at(creep, scale, balance, height: float) -> Float[Array, " 4"]:
    """The coordinates of a response: log A, log scale, balance at the mean elevation and log gradient."""
    at_height = balance.gradient * (height - balance.ela)
    return jnp.stack([jnp.log(creep), jnp.log(scale), at_height, balance.gradient])


def _polynomials(x: Array, size: int) -> Array:
    return jnp.cos(jnp.arange(size) * jnp.arccos(jnp.clip(x, -1 + 1e-12, 1 - 1e-12)))


def _unscale(values: Array, at: Array) -> Array:
    """Speed goes with A H^4: the rest varies little."""
    return values * jnp.exp(at[0] + 4 * at[1])


@partial(jax.jit, static_argnames="height")
def exact(glacier: gb.Glacier, observations: gb.Observations, at: Float[Array, " 4"], height: float) -> Array:
    """Velocities of the blocks (flat) and mass change at log A, log scale, balance and its gradient."""
    balance = gb.mass_balance.LinearGradient(height - at[2] / at[3], at[3])
    years = observations.years
    law = gb.laws.Glen(jnp.exp(at[0]))
    thicker = glacier.scaled(jnp.exp(at[1]))
    # where the number of steps changes a response jumps by the error in time, and no polynomial follows that
    history = gb.simulate(thicker, law, balance, YEARS, years, tolerance=TOLERANCE, leave_window=False)
    return jnp.append(observations.velocity.predict(history).ravel(), history.mass_change(*YEARS))


def tabulate(glacier, observations, low: np.ndarray, high: np.ndarray, sizes: tuple[int, ...]) -> Response:
    """Exact solves at the Chebyshev nodes of a box.

    Args:
        glacier, observations: of one glacier.
        low, high: corners: log A, log scale, balance at the mean elevation (m w.e. per year), gradient (per year).
        sizes: nodes along each.
    """
    height = mean_height(glacier)
    middle, half = (high + low) / 2, (high - low) / 2
    nodes = [np.cos(np.pi * (np.arange(n) + 0.5) / n) for n in sizes]
    places = middle + half * np.array(list(product(*nodes)))
    values = []
    for at in places:
        value = np.asarray(exact(glacier, observations, jnp.asarray(at), height))
        values.append(np.append(value[:-1] * np.exp(-at[0] - 4 * at[1]), value[-1]))
    table = np.array(values).reshape(*sizes, -1)
    if not np.all(np.isfinite(table)):
        raise RuntimeError(f"tabulate: a solve failed between {low} and {high}")
    for axis, n in enumerate(sizes):
        transform = 2 / n * np.cos(np.arange(n)[:, None] * np.arccos(nodes[axis]))
        transform[0] /= 2
        table = np.moveaxis(np.tensordot(transform, table, (1, axis)), 0, axis)
    return Response(jnp.asarray(middle), jnp.asarray(half), jnp.asarray(table), height, observations)


def tabulate_what_data_allow(glacier, observations, creep: float, scale_sigma: float) -> Response:
    """A table over what the data leave open and little more.

    Args:
        glacier, observations: of one glacier.
        creep: a plausible A, for a first guess of the balance.
        scale_sigma: uncertainty of the thickness scale, as a share.
    """
    height, change = mean_height(glacier), float(observations.geodetic.balance[0])
    low, high = np.log(priors.TYPICAL_CREEP) + 3.5 * priors.CREEP_DEPARTURE * np.array([-1, 1])
    at = np.array([np.log(creep), 0.0, change, GRADIENT])
    # the balance at the mean elevation that gives the observed change is not that change
    at[2] += change - float(exact(glacier, observations, jnp.asarray(at), height)[-1])
    tried = np.linspace(low, high, 17)
    heights = []
    for one in tried:
        value = np.asarray(exact(glacier, observations, jnp.asarray([one, *at[1:]]), height))[:-1]
        off = value - np.asarray(observations.velocity.velocity).ravel()
        # as data with the scale that suits them best
        heights.append(max(np.sum(-2.5 * np.log1p(off**2 / (4 * s**2)) - np.log(s)) for s in (6.0, 9.0, 13.0, 20.0)))
    heights = np.nan_to_num(np.array(heights), nan=-np.inf)
    kept, step = tried[heights > heights.max() - DROP], tried[1] - tried[0]
    low, high = max(low, kept.min() - 1.5 * step), min(high, kept.max() + 1.5 * step)
    wide, steepest = 4 * np.log1p(scale_sigma), GRADIENT_FACTOR**3
    below = np.array([low, -wide, at[2] - 0.9, GRADIENT / steepest])
    above = np.array([high, wide, at[2] + 0.9, GRADIENT * steepest])
    sizes = (6 + round(1.5 * (high - low)), 4 if scale_sigma < 0.05 else 8, 5, 7)
    return tabulate(glacier, observations, below, above, sizes)


def mean_height(glacier: gb.Glacier) -> float:
    """Of the surface over the ice, m."""
    return float(np.mean(np.asarray(glacier.surface)[np.asarray(glacier.thickness) > 0]))
