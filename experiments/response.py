"""What a glacier would show, interpolated from exact solves: for studies that fit the same glaciers many times.

Where a law enters a glacier through one number, the creep parameter at its temperature, everything that is seen of it
is a smooth function of that number, the thickness scale and the balance: Chebyshev polynomials of four parameters. The
glaciers of a study are one batch, their blocks padded to the same number.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float

import glacierbayes as gb
from glacierbayes import constants, priors
from glacierbayes.inference.workers import cores

YEARS, IMAGES = (2000.0, 2020.0), 2018.0
GRADIENT, GRADIENT_FACTOR = 0.0065, 1.25  # prior of the balance gradient, per year
TOLERANCE = 0.03  # m
DROP = 25.0  # of the log likelihood, at which a table may end
NODES = (15, 5, 8)  # along log A, balance and its gradient
LITTLE, FEW_NODES, MANY_NODES = 0.1, 5, 9  # along the scale, where it is uncertain by less than the first, and else


class Batch(eqx.Module):
    """Glaciers with their observations and tables; every array has the glacier in front.

    Attributes:
        middle, half: centre and half-width of the box: log A, log scale, balance at `height` (m w.e. per year), its
            gradient (per year).
        coefficients: of Chebyshev polynomials; the last axis is the components of the blocks, then the mass change.
        height: mean elevation of the surface, m.
        scale_sigma: uncertainty of the thickness scale, as a share.
        temperature: degC.
        velocity: m per year, 0 where there is no block.
        there: the blocks that there are.
        distance: between blocks, m.
        balance, balance_sigma: m w.e. per year; the latter without the share of the density.
    """

    middle: Float[Array, "glacier 4"]
    half: Float[Array, "glacier 4"]
    coefficients: Float[Array, "glacier n0 n1 n2 n3 out"]
    height: Float[Array, " glacier"]
    scale_sigma: Float[Array, " glacier"]
    temperature: Float[Array, " glacier"]
    velocity: Float[Array, "glacier block 2"]
    there: Bool[Array, "glacier block"]
    distance: Float[Array, "glacier block block"]
    balance: Float[Array, " glacier"]
    balance_sigma: Float[Array, " glacier"]

    def seen(self, at: Float[Array, "glacier 4"]) -> tuple[Array, Array, Array]:
        """Velocities (glacier, block, 2), mass changes and squared distances to the boxes, in half-widths."""
        return jax.vmap(_evaluate)(self.middle, self.half, self.coefficients, at)

    def covariance(self, sigma: float, discrepancy: Array, length: Array) -> Float[Array, "glacier block block"]:
        """Of one component of the velocity; 1 for blocks that are not there."""
        shared = discrepancy[:, None, None] ** 2 * jnp.exp(-self.distance / length[:, None, None])
        both = self.there[:, :, None] & self.there[:, None, :]
        return jnp.where(both, shared + sigma**2 * jnp.eye(self.there.shape[1]), jnp.eye(self.there.shape[1]))

    def log_density(self, at: Array, sigma: float, errors: tuple[Array, Array, Array], density: Array) -> Array:
        """Of all data; the same as `priors.observe` glacier by glacier (`tests/experiments`)."""
        velocity, change, outside = self.seen(at)
        discrepancy, length, freedom = errors
        root = jnp.linalg.cholesky(self.covariance(sigma, discrepancy, length))
        residual = jnp.where(self.there[..., None], self.velocity - velocity, 0.0)
        white = jax.vmap(lambda a, b: solve_triangular(a, b, lower=True))(root, residual)
        count, nu = jnp.sum(self.there, 1), freedom
        each = gammaln((nu + count) / 2) - gammaln(nu / 2) - count / 2 * jnp.log(nu * jnp.pi)
        logdet = jnp.sum(jnp.log(jnp.diagonal(root, axis1=1, axis2=2)), 1)
        squares = jnp.sum(white**2, 1)
        of_velocity = 2 * (each - logdet) - (nu + count) / 2 * jnp.sum(jnp.log1p(squares / nu[:, None]), 1)
        expected = change * constants.VOLUME_CHANGE_DENSITY / density
        off = (self.balance - expected) / self.balance_sigma
        of_balance = -0.5 * off**2 - jnp.log(self.balance_sigma) - 0.5 * jnp.log(2 * jnp.pi)
        # the box is where the data are; outside the polynomials say nothing
        return jnp.sum(of_velocity + of_balance - 50.0 * outside)


def _evaluate(middle: Array, half: Array, values: Array, at: Array) -> tuple[Array, Array, Array]:
    x = (at - middle) / half
    outside = jnp.sum(jnp.square(jnp.maximum(jnp.abs(x) - 1, 0.0)))
    for i, size in enumerate(values.shape[:4]):
        inside = jnp.clip(x[i], -1 + 1e-12, 1 - 1e-12)
        values = jnp.tensordot(jnp.cos(jnp.arange(size) * jnp.arccos(inside)), values, 1)
    return _unscale(values[:-1], at).reshape(-1, 2), values[-1], outside


def _unscale(values: Array, at: Array) -> Array:
    """Speed goes with A H^4: the rest varies little."""
    return values * jnp.exp(at[0] + 4 * at[1])


@jax.jit
def run(glacier: gb.Glacier, creep: Array, balance: gb.mass_balance.LinearGradient) -> tuple[Array, Array]:
    """Surface velocity (2, y, x) at the date of the images, m per year, and mass change, m w.e. per year."""
    # where the number of steps changes a response jumps by the error in time, and no polynomial follows that
    history = gb.simulate(
        glacier, gb.laws.Glen(creep), balance, YEARS, (IMAGES,), tolerance=TOLERANCE, leave_window=False
    )
    return jnp.stack(history.surface_velocity(IMAGES)), history.mass_change(*YEARS)


@jax.jit
def _run(glacier: gb.Glacier, at: Float[Array, " 4"], height: Array) -> tuple[Array, Array]:
    balance = gb.mass_balance.LinearGradient(height - at[2] / at[3], at[3])
    return run(glacier.scaled(jnp.exp(at[1])), jnp.exp(at[0]), balance)


def exact(glacier: gb.Glacier, observations: gb.Observations, at: np.ndarray) -> np.ndarray:
    """Velocities of the blocks (flat) and mass change at log A, log scale, balance and its gradient."""
    speeds, change = _run(glacier, jnp.asarray(at), jnp.asarray(mean_height(glacier)))
    block = np.asarray(observations.velocity.block)
    used = block >= 0
    count = np.bincount(block[used])
    means = [np.bincount(block[used], weights=np.asarray(speed)[used]) / count for speed in speeds]
    return np.append(np.stack(means, -1).ravel(), float(change))


def box(glacier, observations, creep: float, scale_sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners of what the data of a glacier leave open, and little more.

    Args:
        glacier, observations: of one glacier.
        creep: a plausible A, for a first guess of the balance.
        scale_sigma: uncertainty of the thickness scale, as a share.
    """
    change = float(observations.geodetic.balance[0])
    low, high = np.log(priors.TYPICAL_CREEP) + 3.5 * priors.CREEP_DEPARTURE * np.array([-1, 1])
    at = np.array([np.log(creep), 0.0, change, GRADIENT])
    # the balance at the mean elevation that gives the observed change is not that change
    at[2] += change - exact(glacier, observations, at)[-1]
    tried = np.linspace(low, high, 17)
    heights = []
    for one in tried:
        value = exact(glacier, observations, np.array([one, *at[1:]]))[:-1]
        off = value - np.asarray(observations.velocity.velocity).ravel()
        # as data with the scale that suits them best
        heights.append(max(np.sum(-2.5 * np.log1p(off**2 / (4 * s**2)) - np.log(s)) for s in (6.0, 9.0, 13.0, 20.0)))
    heights = np.nan_to_num(np.array(heights), nan=-np.inf)
    kept, step = tried[heights > heights.max() - DROP], tried[1] - tried[0]
    low, high = max(low, kept.min() - 1.5 * step), min(high, kept.max() + 1.5 * step)
    wide, steepest = 4 * np.log1p(scale_sigma), GRADIENT_FACTOR**3
    below = np.array([low, -wide, at[2] - 0.9, GRADIENT / steepest])
    return below, np.array([high, wide, at[2] + 0.9, GRADIENT * steepest])


def tabulate(glacier, observations, low: np.ndarray, high: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Coefficients of the Chebyshev polynomials, from exact solves at their nodes in a box.

    Raises:
        RuntimeError: a solve failed.
    """
    nodes = [np.cos(np.pi * (np.arange(n) + 0.5) / n) for n in sizes]
    places = (low + high) / 2 + (high - low) / 2 * np.array(list(product(*nodes)))
    values = []
    for at in places:
        value = exact(glacier, observations, at)
        values.append(np.append(value[:-1] * np.exp(-at[0] - 4 * at[1]), value[-1]))
    table = np.array(values).reshape(*sizes, -1)
    if not np.all(np.isfinite(table)):
        raise RuntimeError(f"tabulate: a solve failed between {low} and {high}")
    for axis, n in enumerate(sizes):
        transform = 2 / n * np.cos(np.arange(n)[:, None] * np.arccos(nodes[axis]))
        transform[0] /= 2
        table = np.moveaxis(np.tensordot(transform, table, (1, axis)), 0, axis)
    return table


def untabulated(glaciers, observations, scale_sigmas) -> Batch:
    """The glaciers and their data, with tables of nothing.

    Args:
        glaciers, observations: of all.
        scale_sigmas: of each, uncertainty of the thickness scale as a share.
    """
    blocks = max(len(o.velocity.velocity) for o in observations)

    def one(glacier, seen, scale_sigma) -> dict[str, np.ndarray]:
        missing = blocks - len(seen.velocity.velocity)
        x, y = np.asarray(seen.velocity.x), np.asarray(seen.velocity.y)
        return {
            "middle": np.zeros(4),
            "half": np.ones(4),
            "coefficients": np.zeros((1, 1, 1, 1, 2 * blocks + 1)),
            "height": np.asarray(mean_height(glacier)),
            "scale_sigma": np.asarray(scale_sigma),
            "temperature": np.mean(np.asarray(glacier.fields["temperature"])),
            "velocity": np.pad(np.asarray(seen.velocity.velocity), ((0, missing), (0, 0))),
            "there": np.arange(blocks) < blocks - missing,
            "distance": np.pad(np.hypot(x[:, None] - x, y[:, None] - y), (0, missing)),
            "balance": np.asarray(seen.geodetic.balance)[0],
            "balance_sigma": np.asarray(seen.geodetic.sigma_without_density)[0],
        }

    return _stacked([one(*each) for each in zip(glaciers, observations, scale_sigmas, strict=True)])


def batch(glaciers, observations, scale_sigmas, creeps) -> Batch:
    """Tables of all glaciers, side by side on all cores.

    Args:
        glaciers, observations, scale_sigmas: see `untabulated`.
        creeps: a plausible A for each.
    """
    bare = untabulated(glaciers, observations, scale_sigmas)
    first, *others = NODES
    sizes = (first, FEW_NODES if max(scale_sigmas) < LITTLE else MANY_NODES, *others)

    def one(glacier, seen, scale_sigma, creep) -> tuple[np.ndarray, ...]:
        low, high = box(glacier, seen, float(creep), scale_sigma)
        table = tabulate(glacier, seen, low, high, sizes)
        more = [(0, 0)] * 4 + [(0, bare.velocity[0].size + 1 - table.shape[-1])]
        return (low + high) / 2, (high - low) / 2, np.concatenate([np.pad(table[..., :-1], more), table[..., -1:]], -1)

    with ThreadPoolExecutor(cores()) as pool:
        parts = list(pool.map(one, glaciers, observations, scale_sigmas, creeps))
    found = tuple(jnp.asarray(np.stack(part)) for part in zip(*parts, strict=True))
    return eqx.tree_at(lambda b: (b.middle, b.half, b.coefficients), bare, found)


def _stacked(parts: list[dict[str, np.ndarray]]) -> Batch:
    return Batch(**{name: jnp.asarray(np.stack([part[name] for part in parts])) for name in parts[0]})


def mean_height(glacier: gb.Glacier) -> float:
    """Of the surface over the ice, m."""
    return float(np.mean(np.asarray(glacier.surface)[np.asarray(glacier.thickness) > 0]))
