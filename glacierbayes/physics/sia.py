"""The shallow-ice equation on a grid: ice flux through faces, its transpose, and its stiffness.

dH/dt = div(D grad S) + b with S = B + H (Mahaffy 1976, doi 10.1029/JC081i006p01059). Fluxes live on the faces between
cells, so that what leaves one cell enters the next. A difference of the surface counts in proportion to the ice in its
higher cell where that is thin: the rock wall beside a glacier drives no ice, and its slope is not the slope of the ice.

XLA computes a shared intermediate again in every consumer; the barriers stop that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from glacierbayes import constants
from glacierbayes.laws.base import FlowLaw, LocalIce, array_only
from glacierbayes.laws.longitudinal_average import at_averaged_slope, split_average
from glacierbayes.numerics import elementwise
from glacierbayes.physics.faces import (
    MIN_DIVISOR,
    SLOPE_SQUARED_OFFSET,
    Face,
    SurfaceDifference,
    adjacent_slope_transpose,
    driving_slope_transpose,
    face_flux,
    face_flux_transpose,
    limited_thickness,
    limited_thickness_transpose,
    local_ice,
    mean_thickness,
    signed_diffusivity,
)
from glacierbayes.physics.layout import Layout, padded
from glacierbayes.physics.mass_balance import MassBalance
from glacierbayes.physics.slope import FULL_SLOPE_THICKNESS, averaged_slope_squared, driving_slope, slope_at_centres


class Flux(NamedTuple):
    """Volume flux through the x-faces and the y-faces, m2 per year, positive towards the larger index."""

    x: Float[Array, " faces"]
    y: Float[Array, " faces"]


class FaceLaws(NamedTuple):
    """The flow law at the x-faces and at the y-faces. They differ where the law depends on fields."""

    x: FlowLaw
    y: FlowLaw


class ShallowIce(eqx.Module):
    """The shallow-ice equation of one glacier: flow law, mass balance, bed and grid. Time is in years.

    Attributes:
        laws: the flow law at the faces, in SI units.
        balance: climatic mass balance, or None for none.
        bed: bed elevation, m. Ghost cells have the bed of the cell beside them and never hold ice, so that ice
            leaves over the grid's edge and none enters.
        inside: 1 in cells of the grid, 0 in ghost cells.
        mask: the cells in which a positive balance acts.
        per_x, per_y: one over the cell widths, per m, positive.
        layout: the positions of cells in vectors.
        thicknesses: the length over which the law's slope is averaged, in ice thicknesses; None for no average.
    """

    laws: FaceLaws
    balance: MassBalance | None
    bed: Float[Array, " state"]
    inside: Float[Array, " cells"]
    mask: Bool[Array, " cells"]
    per_x: Float[Array, ""]
    per_y: Float[Array, ""]
    layout: Layout
    thicknesses: Float[Array, ""] | None = None

    def surface_differences(self, thickness: Float[Array, " state"]) -> tuple[SurfaceDifference, SurfaceDifference]:
        """The surface differences along x and along y, for an ice thickness in m."""
        shift, w = self.layout.shift, self.layout.width
        thickness, s = lax.optimization_barrier((thickness, thickness + self.bed))
        h, here = shift(thickness, 0), shift(s, 0)
        return (
            SurfaceDifference(h, shift(thickness, 1), (shift(s, 1) - here) * self.per_x),
            SurfaceDifference(h, shift(thickness, w), (shift(s, w) - here) * self.per_y),
        )

    def faces(self, thickness: Float[Array, " state"]) -> tuple[Face, Face]:
        """Thickness and slopes at the x-faces and at the y-faces, for an ice thickness in m."""
        shift = self.layout.shift
        difference_x, difference_y = self.surface_differences(thickness)
        x, y = lax.optimization_barrier((driving_slope(*difference_x), driving_slope(*difference_y)))

        def face(
            own: SurfaceDifference, across: Array, other: SurfaceDifference, slope: Array, sum_adjacent: Callable
        ) -> Face:
            ice = other.first + other.second
            weight = sum_adjacent(ice)
            per_weight = 1 / jnp.where(weight > MIN_DIVISOR, weight, 1.0)
            along, along_squared = per_weight * sum_adjacent(ice * slope), per_weight * sum_adjacent(ice * slope**2)
            return Face(shift(own.first, 0), shift(own.second, 0), shift(across, 0), per_weight, along, along_squared)

        return (
            face(difference_x, x, difference_y, y, self.sum_adjacent_y_faces),
            face(difference_y, y, difference_x, x, self.sum_adjacent_x_faces),
        )

    def sum_adjacent_y_faces(self, values: Array) -> Array:
        """At every x-face the sum of the values at the four y-faces adjacent to it.

        The values are a vector of `Layout`, and the sums the next shorter one.
        """
        shift, w = self.layout.shift, self.layout.width
        return shift(values, 0) + shift(values, 1) + shift(values, -w) + shift(values, 1 - w)

    def sum_adjacent_x_faces(self, values: Array) -> Array:
        """At every y-face the sum of the values at the four x-faces adjacent to it.

        It is the transpose of `sum_adjacent_y_faces`.
        """
        shift, w = self.layout.shift, self.layout.width
        return shift(values, 0) + shift(values, w) + shift(values, -1) + shift(values, w - 1)

    def linearize_laws(self, thickness: Float[Array, " state"], reverse_mode: bool) -> FaceLaws:
        """The laws for one time step, linearized at the thickness (m) at its start; see `FlowLaw.linearize`."""
        shift, w = self.layout.shift, self.layout.width
        ice = shift(thickness, 0) > 0
        # faces of cells with ice, and of the cells beside them, where ice may arrive
        active = shift(ice, 0) | shift(ice, 1) | shift(ice, -1) | shift(ice, w) | shift(ice, -w)
        x, y = map(local_ice, self.faces(thickness))
        if self.thicknesses is None:
            laws = (law.linearize(ice, active, reverse_mode) for law, ice in zip(self.laws, (x, y), strict=True))
            return FaceLaws(*map(array_only, laws))

        def averaged(law: FlowLaw, ice: LocalIce, average: Array) -> FlowLaw:
            average = average + SLOPE_SQUARED_OFFSET
            law = array_only(law.linearize(LocalIce(ice.thickness, average), active, reverse_mode))
            return at_averaged_slope(law, ice.slope_squared, average)

        average_x, average_y = self.layout.at_faces(self._averaged_slope_squared(thickness, self.thicknesses))
        return FaceLaws(averaged(self.laws.x, x, average_x), averaged(self.laws.y, y, average_y))

    def _averaged_slope_squared(self, thickness: Float[Array, " state"], thicknesses: Array) -> Float[Array, " cells"]:
        reach = 3 * self.layout.reach
        h, bed = (part[reach : part.shape[0] - reach].reshape(self.layout.shape) for part in (thickness, self.bed))
        return averaged_slope_squared(h, h + bed, 1 / self.per_x, 1 / self.per_y, thicknesses).ravel()

    def with_laws(self, laws: FaceLaws) -> ShallowIce:
        """The same equation with other flow laws at the faces."""
        return eqx.tree_at(lambda e: e.laws, self, laws)

    def flux(self, thickness: Float[Array, " state"]) -> Flux:
        """Ice flux through every face, m2 per year, for an ice thickness in m."""
        x, y = self.faces(thickness)
        return Flux(face_flux(self.laws.x, x), face_flux(self.laws.y, y))

    def divergence(self, flux: Flux) -> Float[Array, " cells"]:
        """The divergence of a flux through the faces of every cell, m per year."""
        shift, w = self.layout.shift, self.layout.width
        out_x = shift(flux.x, 0) - shift(flux.x, -1)
        return out_x * self.per_x + (shift(flux.y, 0) - shift(flux.y, -w)) * self.per_y

    def divergence_transpose(self, cells: Float[Array, " slopes"]) -> Flux:
        """The transpose of `divergence`, for a cotangent on cells with margins."""
        shift, w = self.layout.shift, self.layout.width
        here = shift(cells, 0)
        return Flux((here - shift(cells, 1)) * self.per_x, (here - shift(cells, w)) * self.per_y)

    def flux_transpose(
        self, thickness: Float[Array, " state"], cotangent: Flux
    ) -> tuple[FaceLaws, Float[Array, " cells"], Float[Array, " cells"]]:
        """The transpose of the derivative of `flux`, written as a stencil.

        Its cost is the number of passes over the fields. What is cheap (which cell is the donor, whether it is thin) is
        therefore computed again where it is needed, and not stored.

        Args:
            thickness: where the derivative is taken, m.
            cotangent: of the flux.

        Returns:
            Cotangents of the laws (for `elementwise.reduce_cotangents`), of the thickness at fixed surface, and of the
            surface.
        """
        shift, w, reach = self.layout.shift, self.layout.width, self.layout.reach
        x, y = self.faces(thickness)
        ct_law_x, ct_ice_x, ct_across_x, along_x = face_flux_transpose(self.laws.x, x, cotangent.x)
        ct_law_y, ct_ice_y, ct_across_y, along_y = face_flux_transpose(self.laws.y, y, cotangent.y)
        along_x, along_y = lax.optimization_barrier((along_x, along_y))
        ct_ice_x, ct_ice_y = lax.optimization_barrier((ct_ice_x, ct_ice_y))
        difference_x, difference_y = self.surface_differences(thickness)
        ct_thickness = ct_surface = jnp.zeros(())
        for face, difference, ct_ice, ct_across, adjacent, offset, per in (
            (x, difference_x, ct_ice_x, ct_across_x, map(self.sum_adjacent_y_faces, along_y), 1, self.per_x),
            (y, difference_y, ct_ice_y, ct_across_y, map(self.sum_adjacent_x_faces, along_x), w, self.per_y),
        ):
            inner = SurfaceDifference(*(shift(shift(part, 0), 0) for part in difference))
            ct_slope, ct_weight = adjacent_slope_transpose(inner, *adjacent)
            ct_slope, ct_weight = lax.optimization_barrier((shift(ct_across, 0) + ct_slope, ct_weight))
            # beyond the padded grid there is no ice, no flux and no cotangent
            ct_slope, ct_weight = lax.optimization_barrier((padded(ct_slope, reach), padded(ct_weight, reach)))
            ct_first, ct_second = limited_thickness_transpose(face, ct_ice)
            ct_difference = driving_slope_transpose(SurfaceDifference(*(shift(p, 0) for p in difference)), ct_slope)
            ct_thickness += shift(ct_first + ct_difference.first + ct_weight, 0)
            ct_thickness += shift(ct_second + ct_difference.second + ct_weight, -offset)
            ct_surface += (shift(ct_difference.slope, -offset) - shift(ct_difference.slope, 0)) * per
        return FaceLaws(ct_law_x, ct_law_y), ct_thickness, ct_surface

    def rates(
        self, thickness: Float[Array, " state"]
    ) -> tuple[Float[Array, " cells"], Float[Array, ""], Float[Array, ""]]:
        """The rates from which the length of a time step follows; they are not differentiated.

        Returns:
            thinning: divergence of the flux, m per year.
            stiffness: bound of the largest eigenvalue of the diffusion, per year (Gershgorin's). Along the slope the
                linearised diffusivity is D + s dD/ds (n times D for Glen), across it D.
            courant: bound of the speed of kinematic waves, dD/dH s, in cells per year.
        """

        def face_rates(law: FlowLaw, face: Face, per: Array) -> tuple[Array, Array, Array]:
            # a nearly level surface may tilt the other way within the step, and the limit by the donor vanish
            level = jnp.abs(face.across) < FULL_SLOPE_THICKNESS * per
            ice = jnp.where(level, mean_thickness(face)[0], limited_thickness(face)), face.slope_squared
            one, zero = jnp.ones_like(ice[0]), jnp.zeros_like(ice[0])

            def diffusivity(thickness: Array, slope_squared: Array) -> Array:
                return -signed_diffusivity(law, thickness, slope_squared)

            value, change = jax.jvp(diffusivity, ice, (zero, 2 * face.across**2))
            wave_speed = jax.jvp(diffusivity, ice, (one, zero))[1] * jnp.abs(face.across)
            return face_flux(law, face), value + change, wave_speed

        x, y = self.faces(thickness)
        x, y = lax.optimization_barrier(
            (face_rates(self.laws.x, x, self.per_x), face_rates(self.laws.y, y, self.per_y))
        )
        shift, w = self.layout.shift, self.layout.width
        row_sum = (shift(x[1], 0) + shift(x[1], -1)) * self.per_x**2
        row_sum += (shift(y[1], 0) + shift(y[1], -w)) * self.per_y**2
        courant = jnp.max(x[2]) * self.per_x + jnp.max(y[2]) * self.per_y
        result = (self.divergence(Flux(x[0], y[0])), 2 * jnp.max(row_sum), courant)
        return lax.stop_gradient(lax.optimization_barrier(result))

    def balance_rate(
        self, thickness: Float[Array, " cells"], start: Array, end: Array, reverse_mode: bool = False
    ) -> Float[Array, " cells"]:
        """Mean balance over [start, end] at the surface that belongs to a thickness (m), m of ice per year.

        A positive balance acts only inside the outline, since the ice beyond belongs to other glaciers. With
        `reverse_mode` the result is open to reverse mode only, which is then faster.
        """
        if self.balance is None:
            return jnp.zeros_like(thickness)
        reach = 3 * self.layout.reach
        surface = thickness + self.bed[reach : self.bed.shape[0] - reach]
        rate_at = elementwise.with_transpose(_rate) if reverse_mode else _rate
        rate = lax.optimization_barrier(rate_at(self.balance, surface, start, end))
        return lax.optimization_barrier(jnp.where(self.mask | (rate < 0), rate, 0.0) * self.inside)


def _rate(balance: MassBalance, surface: Array, start: Array, end: Array) -> Array:
    return balance.rate(surface, start, end)


def surface_velocity(law: FlowLaw, thickness: Any, surface: Any, dx: Any, dy: Any) -> tuple[Array, Array]:
    """Surface velocity at cell centres from the same law as the flux.

    Args:
        law: the flow law.
        thickness, surface: (y, x), m.
        dx, dy: cell widths, m; dy is negative where y descends.

    Returns:
        vx, vy: (y, x), along the map's x and y, m per year; for the slopes see `slope.slope_at_centres`.
    """
    law, thicknesses = split_average(law)
    slope_x, slope_y = slope_at_centres(thickness, surface, dx, dy)
    if thicknesses is None:
        slope_squared = slope_x**2 + slope_y**2
    else:
        slope_squared = averaged_slope_squared(thickness, surface, dx, dy, thicknesses)
    _, mobility = law.mobility(LocalIce(thickness, slope_squared + SLOPE_SQUARED_OFFSET))
    mobility = constants.SECONDS_PER_YEAR * mobility
    return -mobility * slope_x, -mobility * slope_y
