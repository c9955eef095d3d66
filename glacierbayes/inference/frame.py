"""Coordinates in which chains move: those of the problem, or such as follow a posterior that bends.

Along the share of sliding, say, all else shifts and tightens: where little slides the function on sliding is free,
where all slides the data hold it. No one mass matrix fits such a valley, and a chain goes along it by small steps. A
model may name the parameter (`priors.bends`). The others are then sampled relative to their mean and width given it,
which are interpolated between Gaussians at some of its values: any such map leaves the posterior what it is, a good one
makes the others independent of the parameter, and standard normal.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import expm, solve_triangular
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize

from glacierbayes.inference.matched import matched
from glacierbayes.inference.problem import Problem

NODES = np.linspace(-3.0, 3.0, 7)  # in prior standard deviations of the parameter about its median
ITERATIONS = 25  # of the search for the mode at a node, from the one before


class Straight:
    """The problem's own coordinates."""

    def position(self, place: Float[Array, " n"]) -> Float[Array, " n"]:
        """The problem's vector there."""
        return place

    def place(self, position: Float[Array, " n"]) -> Float[Array, " n"]:
        """Where the problem's vector is."""
        return position

    def log_volume(self, place: Float[Array, " n"]) -> Float[Array, ""]:
        """Log determinant of the derivative of `position`, up to a constant."""
        return jnp.zeros(())

    def gaussian(self, mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance there of a Gaussian like the posterior, from those of the problem's vector."""
        return mean, covariance

    def spread(self, learnt: Array, first: Array) -> Array:
        """About the covariance of the problem's vector, from what a chain has learnt in the frame or a first guess."""
        return learnt


class Bent(Straight):
    """Mean and width of all parameters but one, by that one.

    Args:
        along: which one.
        nodes: its values, rising.
        means, covariances: of the others there, in their order.
    """

    def __init__(self, along: int, nodes: np.ndarray, means: np.ndarray, covariances: np.ndarray):
        """Logarithms of the covariances, so that what is between them is one too."""
        self.along, self.nodes = along, jnp.asarray(nodes)
        self.others = np.delete(np.arange(means.shape[1] + 1), along)
        root = np.linalg.cholesky(covariances[len(nodes) // 2])
        logs = []
        for covariance in covariances:
            values, vectors = np.linalg.eigh(np.linalg.solve(root, np.linalg.solve(root, covariance).T))
            logs.append((vectors * np.log(values)) @ vectors.T)
        self.root, self.means, self.logs = jnp.asarray(root), jnp.asarray(means), jnp.asarray(np.array(logs))
        # flat at its ends: beyond them the map stays as it is there
        self.pieces = jnp.asarray(CubicSpline(nodes, np.eye(len(nodes)), bc_type="clamped").c)

    def _at(self, value: Array) -> tuple[Array, Array]:
        """Mean, and the logarithm of the width relative to the root."""
        inside = jnp.clip(value, self.nodes[0], self.nodes[-1])
        k = jnp.clip(jnp.searchsorted(self.nodes, inside) - 1, 0, self.nodes.size - 2)
        shares = jnp.zeros(self.nodes.size)
        for power in self.pieces[:, k]:
            shares = shares * (inside - self.nodes[k]) + power
        return shares @ self.means, 0.5 * jnp.tensordot(shares, self.logs, 1)

    def position(self, place: Float[Array, " n"]) -> Float[Array, " n"]:
        """The problem's vector there."""
        mean, log_width = self._at(place[self.along])
        return place.at[self.others].set(mean + self.root @ (expm(log_width) @ place[self.others]))

    def place(self, position: Float[Array, " n"]) -> Float[Array, " n"]:
        """Where the problem's vector is."""
        mean, log_width = self._at(position[self.along])
        away = solve_triangular(self.root, position[self.others] - mean, lower=True)
        return position.at[self.others].set(expm(-log_width) @ away)

    def log_volume(self, place: Float[Array, " n"]) -> Float[Array, ""]:
        """Log determinant of the derivative of `position`, up to a constant."""
        return jnp.trace(self._at(place[self.along])[1])

    def gaussian(self, mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance there: as wide as the prior along the parameter, else standard normal."""
        there, widths = np.zeros(mean.size), np.ones(mean.size)
        there[self.along] = mean[self.along]
        widths[self.along] = float((self.nodes[-1] - self.nodes[0]) / (NODES[-1] - NODES[0]))
        return there, np.diag(widths**2)

    def spread(self, learnt: Array, first: Array) -> Array:
        """The first guess: the frame's has another shape."""
        return first


def frame_of(arrays: dict[str, np.ndarray]) -> Straight:
    """The frame that `mode.find_start` found."""
    if "bent_nodes" not in arrays:
        return Straight()
    names = ("bent_nodes", "bent_means", "bent_covariances")
    return Bent(int(arrays["bent_along"]), *(arrays[name] for name in names))


def in_frame(frame: Straight, problem: Problem) -> Callable:
    """The potential of a problem in the coordinates of the frame."""
    if not isinstance(frame, Bent):
        return problem.potential  # as it is: the search for the mode has compiled it
    return lambda place: problem.potential(frame.position(place)) - frame.log_volume(place)


def bend(
    target: Callable, along: int, mean: np.ndarray, covariance: np.ndarray, key: jax.Array, each: Callable
) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of the other parameters at the nodes, from the middle outwards.

    Args:
        target: the potential and its gradient, in coordinates scaled by the prior; infinity where there is no density.
        along: which parameter.
        mean, covariance: of the Gaussian most like the whole.
        key: of the draws.
        each: maps over places.
    """
    others = np.delete(np.arange(mean.size), along)
    slope = covariance[others, along] / covariance[along, along]
    middle = len(NODES) // 2
    given = covariance[np.ix_(others, others)] - np.outer(slope, covariance[along, others])
    begin = mean[others] + slope * (NODES[middle] - mean[along]), given

    def at(node: int, guess: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        def part(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = target(np.insert(x, along, NODES[node]))
            return value, gradient[others]

        def white(w: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = part(guess[0] + root @ w)
            return min(value, 1e8), root.T @ gradient

        root = np.linalg.cholesky(guess[1])
        options = {"gtol": 0.3, "maxiter": ITERATIONS}
        low = minimize(white, np.zeros(others.size), jac=True, method="BFGS", options=options).x
        return matched(part, guess[0] + root @ low, guess[1], jax.random.fold_in(key, node), each)

    found = {middle: at(middle, begin)}
    for node in range(middle - 1, -1, -1):
        found[node] = at(node, found[node + 1])
    for node in range(middle + 1, len(NODES)):
        found[node] = at(node, found[node - 1])
    means, covariances = zip(*(found[node] for node in range(len(NODES))), strict=True)
    return np.array(means), np.array(covariances)
