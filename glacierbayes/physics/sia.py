"""The shallow-ice equation on a grid: ice flux through faces, its transpose, its stiffness.

dH/dt = div(D grad S) + b with S = B + H (Mahaffy 1976, doi 10.1029/JC081i006p01059). Fluxes live on the
faces between cells, so that what leaves one cell enters the next. The slope across a face is the
difference of its two cells, the slope along it the mean of the four differences beside it.

XLA recomputes a shared intermediate in every consumer; the barriers stop that.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from glacierbayes import constants
from glacierbayes.laws.base import FlowLaw, LocalIce
from glacierbayes.physics.layout import Layout
from glacierbayes.physics.mass_balance import MassBalance

# A face takes the mean thickness of its cells, but no more than this many times that of the cell the ice
# comes from: none leaves bare rock, and where neighbours differ by less than a factor 2 nothing is cut.
DONOR_LIMIT = 1.5
FLAT = 1e-20  # added to the slope squared: a finite gradient of the slope on level ice


class Flux(NamedTuple):
    """Volume flux through faces, m2 per year, positive towards the larger index."""

    x: Float[Array, " faces"]
    y: Float[Array, " faces"]


class _Face(NamedTuple):
    """The two cells beside a face, the slope across it and the slope along it."""

    first: Array
    second: Array
    across: Array
    along: Array


class ShallowIce(eqx.Module):
    """The equation of one glacier: law, balance, bed and grid. SI laws, years outside.

    Attributes:
        law: the flow law.
        balance: climatic mass balance, or None for none.
        bed: bed elevation, m; ghosts have the bed of the cell beside them and never hold ice, so that ice
            leaves over the grid's edge and none comes in.
        inside: 1 in cells of the grid, 0 in ghosts.
        mask: cells in which a positive balance acts.
        per_x, per_y: one over the cell widths, per m, positive.
        layout: where cells lie in vectors.
    """

    law: FlowLaw
    balance: MassBalance | None
    bed: Float[Array, " state"]
    inside: Float[Array, " cells"]
    mask: Bool[Array, " cells"]
    per_x: Float[Array, ""]
    per_y: Float[Array, ""]
    layout: Layout

    def faces(self, thickness: Float[Array, " state"]) -> tuple[_Face, _Face]:
        """Thickness and slopes at the x-faces and the y-faces."""
        shift, w = self.layout.shift, self.layout.width
        thickness, s = lax.optimization_barrier((thickness, thickness + self.bed))
        beside_x = shift(s, w) + shift(s, w + 1) - shift(s, -w) - shift(s, 1 - w)
        beside_y = shift(s, 1) + shift(s, w + 1) - shift(s, -1) - shift(s, w - 1)
        here, h = shift(s, 0), shift(thickness, 0)
        return (
            _Face(h, shift(thickness, 1), (shift(s, 1) - here) * self.per_x, beside_x * (0.25 * self.per_y)),
            _Face(h, shift(thickness, w), (shift(s, w) - here) * self.per_y, beside_y * (0.25 * self.per_x)),
        )

    def flux(self, thickness: Float[Array, " state"]) -> Flux:
        """Ice flux through every face, m2 per year."""
        x, y = self.faces(thickness)
        return Flux(face_flux(self.law, x), face_flux(self.law, y))

    def divergence(self, flux: Flux) -> Float[Array, " cells"]:
        """Of a flux through faces, per cell, m per year."""
        shift, w = self.layout.shift, self.layout.width
        out_x = shift(flux.x, 0) - shift(flux.x, -1)
        return out_x * self.per_x + (shift(flux.y, 0) - shift(flux.y, -w)) * self.per_y

    def divergence_transpose(self, cells: Float[Array, " state"]) -> Flux:
        """The transpose of `divergence`, for cells within margins."""
        shift, w = self.layout.shift, self.layout.width
        here = shift(cells, 0)
        return Flux((here - shift(cells, 1)) * self.per_x, (here - shift(cells, w)) * self.per_y)

    def flux_transpose(
        self, thickness: Float[Array, " state"], cotangent: Flux
    ) -> tuple[FlowLaw, Float[Array, " cells"], Float[Array, " cells"]]:
        """The transpose of the derivative of `flux`, written as a stencil.

        Args:
            thickness: where the derivative is taken, m.
            cotangent: of the flux.

        Returns:
            Cotangents of the law, of the thickness at fixed surface, and of the surface.
        """
        x, y = self.faces(thickness)
        law_x, x = _face_transpose(self.law, x, cotangent.x)
        law_y, y = _face_transpose(self.law, y, cotangent.y)
        law = jax.tree.map(jnp.add, law_x, law_y)
        shift, w = self.layout.shift, self.layout.width
        of_thickness = shift(x.first, 0) + shift(x.second, -1) + shift(y.first, 0) + shift(y.second, -w)
        across = (shift(x.across, -1) - shift(x.across, 0)) * self.per_x
        across += (shift(y.across, -w) - shift(y.across, 0)) * self.per_y
        beside_x = shift(x.along, -w) + shift(x.along, -w - 1) - shift(x.along, w) - shift(x.along, w - 1)
        beside_y = shift(y.along, -1) + shift(y.along, -w - 1) - shift(y.along, 1) - shift(y.along, 1 - w)
        along = beside_x * (0.25 * self.per_y) + beside_y * (0.25 * self.per_x)
        return law, of_thickness, across + along

    def stiffness(self, thickness: Float[Array, " state"]) -> Float[Array, ""]:
        """Bound of the largest eigenvalue of the diffusion, per year.

        Along the slope the linearised diffusivity is D + s dD/ds (n times D for Glen), across it D.
        """

        def along_slope(face: _Face) -> Array:
            ice, slope_squared = _donor_limited(face), face.across**2 + face.along**2 + FLAT
            diffusivity, change = jax.jvp(
                lambda s2: self.law.mobility(LocalIce(ice, s2))[0],
                (slope_squared,),
                (2 * face.across**2,),
            )
            return diffusivity + change

        x, y = self.faces(thickness)
        x, y = lax.optimization_barrier((along_slope(x), along_slope(y)))
        bound = 4 * (jnp.max(x) * self.per_x**2 + jnp.max(y) * self.per_y**2)
        return lax.stop_gradient(constants.SECONDS_PER_YEAR * bound)

    def balance_rate(
        self, thickness: Float[Array, " cells"], start: Array, end: Array
    ) -> Float[Array, " cells"]:
        """Mean balance over [start, end] at the surface of now, m of ice per year.

        A positive one acts only inside the outline: next door is somebody else's ice.
        """
        if self.balance is None:
            return jnp.zeros_like(thickness)
        reach = 2 * self.layout.reach
        rate = self.balance.rate(thickness + self.bed[reach : self.bed.shape[0] - reach], start, end)
        return jnp.where(self.mask | (rate < 0), rate, 0.0) * self.inside


def _donor_limited(face: _Face) -> Array:
    donor = jnp.where(face.across < 0, face.first, face.second)
    mean, most = 0.5 * (face.first + face.second), DONOR_LIMIT * donor
    return jnp.where(most < mean, most, mean)


def _diffusivity(law: FlowLaw, ice: Array, slope_squared: Array) -> Array:
    return -constants.SECONDS_PER_YEAR * law.mobility(LocalIce(ice, slope_squared))[0]


def face_flux(law: FlowLaw, face: _Face) -> Array:
    """Flux through a face, elementwise, m2 per year."""
    return _diffusivity(law, _donor_limited(face), face.across**2 + face.along**2 + FLAT) * face.across


def _face_transpose(law: FlowLaw, face: _Face, cotangent: Array) -> tuple[FlowLaw, _Face]:
    """The transpose of the derivative of `face_flux`, in few kernels.

    Left to JAX, each of the four results repeats the whole computation, and so does the sum over the faces
    for every parameter of the law: 280 instead of 100 microseconds on 7,000 cells.
    """
    across, along = face.across, face.along
    donor_first = across < 0
    limited = DONOR_LIMIT * jnp.where(donor_first, face.first, face.second) < 0.5 * (face.first + face.second)
    ice, across, along = lax.optimization_barrier((_donor_limited(face), across, along))
    slope_squared = across**2 + along**2 + FLAT
    of_diffusivity = cotangent * across
    diffusivity, pull = jax.vjp(partial(_diffusivity, law), ice, slope_squared)
    of_ice, of_slope = lax.optimization_barrier(pull(of_diffusivity))
    of_across = cotangent * diffusivity + 2 * across * of_slope
    of_first = of_ice * jnp.where(limited, jnp.where(donor_first, DONOR_LIMIT, 0.0), 0.5)
    of_second = of_ice * jnp.where(limited, jnp.where(donor_first, 0.0, DONOR_LIMIT), 0.5)
    result = lax.optimization_barrier(_Face(of_first, of_second, of_across, 2 * along * of_slope))
    return _law_transpose(law, ice, slope_squared, of_diffusivity), result


def _law_transpose(law: FlowLaw, ice: Array, slope_squared: Array, of_diffusivity: Array) -> FlowLaw:
    """Cotangent of a law: by a tangent and a dot product for each scalar, by transposition for arrays."""
    leaves, tree = jax.tree.flatten(law)
    scalar = [jnp.ndim(leaf) == 0 for leaf in leaves]

    def of(moving: list[Array], kind: bool) -> Array:
        moving = iter(moving)
        filled = [next(moving) if is_scalar == kind else leaf for leaf, is_scalar in zip(leaves, scalar, strict=True)]
        return _diffusivity(jax.tree.unflatten(tree, filled), ice, slope_squared)

    scalars = [leaf for leaf, is_scalar in zip(leaves, scalar, strict=True) if is_scalar]
    arrays = [leaf for leaf, is_scalar in zip(leaves, scalar, strict=True) if not is_scalar]
    of_scalars = []
    for i in range(len(scalars)):
        tangents = [jnp.ones_like(leaf) if i == k else jnp.zeros_like(leaf) for k, leaf in enumerate(scalars)]
        change = jax.jvp(lambda *moving: of(list(moving), True), tuple(scalars), tuple(tangents))[1]
        of_scalars.append(jnp.vdot(lax.optimization_barrier(change), of_diffusivity))
    of_arrays = jax.vjp(lambda *moving: of(list(moving), False), *arrays)[1](of_diffusivity) if arrays else ()
    both = {True: iter(of_scalars), False: iter(of_arrays)}
    return jax.tree.unflatten(tree, [next(both[is_scalar]) for is_scalar in scalar])


def surface_velocity(law: FlowLaw, thickness: Any, surface: Any, dx: Any, dy: Any) -> tuple[Array, Array]:
    """Surface velocity at cell centres from the same law as the flux.

    Args:
        law: the flow law.
        thickness, surface: (y, x), m.
        dx, dy: cell widths, m; dy is negative where y descends.

    Returns:
        vx, vy: (y, x), along the map's x and y, m per year; slopes are central differences, one-sided at
        the grid's edge.
    """
    slope_y, slope_x = jnp.gradient(surface)
    slope_x, slope_y = slope_x / dx, slope_y / dy
    _, mobility = law.mobility(LocalIce(thickness, slope_x**2 + slope_y**2 + FLAT))
    mobility = constants.SECONDS_PER_YEAR * mobility
    return -mobility * slope_x, -mobility * slope_y
