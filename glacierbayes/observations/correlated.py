"""Autocorrelated residuals: a multivariate Student-t, and the conditional density of each of its entries."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.linalg import cho_solve, solve_triangular
from jax.scipy.special import gammaln
from jaxtyping import Array, Float
from numpyro.distributions import constraints


class CorrelatedStudentT(dist.Distribution):
    """Vectors at correlated places, each component by itself: multivariate Student-t over the places.

    Args:
        degrees_of_freedom: the same for all; a component's marginals are Student-t with it.
        location: (place, component).
        covariance: (component, place, place) scale matrices; squared scales on the diagonals.
    """

    arg_constraints = {}  # noqa: RUF012 (as NumPyro declares it)
    support = constraints.real_matrix  # pyright: ignore[reportAssignmentType]

    def __init__(self, degrees_of_freedom: Any, location: Any, covariance: Any):
        """Computes the Cholesky factors of the scale matrices."""
        self.degrees_of_freedom, self.location = degrees_of_freedom, jnp.asarray(location)
        self.root = jnp.linalg.cholesky(jnp.asarray(covariance))
        super().__init__(event_shape=self.location.shape)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws, (*sample_shape, place, component)."""
        normal, gamma = jax.random.split(key)
        places, components = self.location.shape
        noise = jax.random.normal(normal, (*sample_shape, components, places))
        squares = 2 * jax.random.gamma(gamma, self.degrees_of_freedom / 2, (*sample_shape, components))
        noise = jnp.einsum("cij,...cj->...ci", self.root, noise)
        noise = noise * jnp.sqrt(self.degrees_of_freedom / squares)[..., None]
        return self.location + jnp.swapaxes(noise, -1, -2)

    def log_prob(self, value: Float[Array, "place component"], intermediates: Any = None) -> Float[Array, ""]:
        """Joint log density of all places and components."""
        residual = (jnp.asarray(value) - self.location).T[..., None]
        white = solve_triangular(self.root, residual, lower=True)
        logdet = jnp.sum(jnp.log(jnp.diagonal(self.root, axis1=-2, axis2=-1)))
        places, components = self.location.shape
        squares = jnp.sum(white**2, (-2, -1))
        nu = self.degrees_of_freedom
        each = gammaln((nu + places) / 2) - gammaln(nu / 2) - places / 2 * jnp.log(nu * jnp.pi)
        return components * each - logdet - (nu + places) / 2 * jnp.sum(jnp.log1p(squares / nu))

    def pointwise(self, value: Float[Array, "place component"]) -> Float[Array, " place"]:
        """Log density of each place given all others, as leave-one-out cross-validation needs it.

        Bürkner, Gabry and Vehtari 2021, doi 10.1007/s00180-020-01045-4, eq. 12 to 14: with P the inverse of the
        scale matrix and g = P r, entry i has conditional residual g_i / P_ii.
        """
        residual = (jnp.asarray(value) - self.location).T
        places = residual.shape[-1]

        def of(root: Array, r: Array) -> Array:
            inverse = cho_solve((root, True), jnp.eye(places))
            g, p = inverse @ r, jnp.diagonal(inverse)
            others = r @ g - g**2 / p
            nu = self.degrees_of_freedom + places - 1
            scale = jnp.sqrt((self.degrees_of_freedom + others) / nu / p)
            return dist.StudentT(nu, 0.0, scale).log_prob(g / p)

        return jnp.sum(jax.vmap(of)(self.root, residual), 0)
