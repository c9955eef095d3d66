"""The shallow-ice equation on a grid: ice flux through faces, its transpose, its stiffness.

dH/dt = div(D grad S) + b with S = B + H (Mahaffy 1976, doi 10.1029/JC081i006p01059). Fluxes live on the
faces between cells, so that what leaves one cell enters the next. The slope across a face is the
difference of its two cells, the slope along it that of the four differences beside it. A difference counts
only as far as there is ice in the higher cell: the rock wall beside a glacier drives no ice, and its slope
is not the ice's.

XLA recomputes a shared intermediate in every consumer; the barriers stop that.
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
from glacierbayes.laws.base import FlowLaw, LocalIce, closed
from glacierbayes.laws.coupled import displaced, uncoupled
from glacierbayes.numerics import elementwise
from glacierbayes.physics.layout import Layout, padded
from glacierbayes.physics.mass_balance import MassBalance
from glacierbayes.physics.slope import THIN, at_centres, averaged, driving_slope
from glacierbayes.physics.stencil import Stencil

# A face takes the root mean square of the thickness between its cells (to second order in their difference): near a
# margin, where the thickness falls to nothing within a cell, the mean lets too little ice through. On domes and round
# ice sheets the error is half that of the mean (`experiments/verification.py`).
SPREAD = 1 / 12
# ... but no more than this many times that of the cell the ice comes from: none leaves bare rock, and where neighbours
# differ by less than a factor 1.9 nothing is cut.
DONOR_LIMIT = 1.5
# The square of the slope along a face is the mean square of one that varies linearly between the four differences:
# the square of their mean and this share of their variance. They count by their thickness: at a margin the steepest
# end in next to no ice. The weights raise the order of the mean error by 0.1, the variance keeps the dome's small.
VARIANCE = 1 / 3
LEAST = 1e-30  # m; the square of less than this, in a derivative, would be 0
FLAT = 1e-20  # added to the slope squared: a finite gradient of the slope on level ice


class Flux(NamedTuple):
    """Volume flux through faces, m2 per year, positive towards the larger index."""

    x: Float[Array, " faces"]
    y: Float[Array, " faces"]


class Laws(NamedTuple):
    """The flow law at the x-faces and at the y-faces: one where it is the same everywhere."""

    x: FlowLaw
    y: FlowLaw


class _Face(NamedTuple):
    """The cells beside a face, the slope across it; of those along it one over the weight, mean and mean square."""

    first: Array
    second: Array
    across: Array
    per_weight: Array
    along: Array
    along_squared: Array

    @property
    def slope_squared(self) -> Array:
        return self.across**2 + (1 - VARIANCE) * self.along**2 + VARIANCE * self.along_squared + FLAT


class _Slope(NamedTuple):
    """The two cells beside a difference of the surface, and its slope from the first to the second."""

    first: Array
    second: Array
    drop: Array


class ShallowIce(eqx.Module):
    """The equation of one glacier: law, balance, bed and grid. SI laws, years outside.

    Attributes:
        laws: the flow law at the faces.
        balance: climatic mass balance, or None for none.
        bed: bed elevation, m; ghosts have the bed of the cell beside them and never hold ice, so that ice
            leaves over the grid's edge and none comes in.
        inside: 1 in cells of the grid, 0 in ghosts.
        mask: cells in which a positive balance acts.
        per_x, per_y: one over the cell widths, per m, positive.
        layout: where cells lie in vectors.
        thicknesses: over how many of them the law's slope is averaged; None for not at all.
    """

    laws: Laws
    balance: MassBalance | None
    bed: Float[Array, " state"]
    inside: Float[Array, " cells"]
    mask: Bool[Array, " cells"]
    per_x: Float[Array, ""]
    per_y: Float[Array, ""]
    layout: Layout
    thicknesses: Float[Array, ""] | None = None

    def slopes(self, thickness: Float[Array, " state"]) -> tuple[_Slope, _Slope]:
        """The cells beside every difference of the surface along x and y, and its drop in m per m."""
        shift, w = self.layout.shift, self.layout.width
        thickness, s = lax.optimization_barrier((thickness, thickness + self.bed))
        h, here = shift(thickness, 0), shift(s, 0)
        return (
            _Slope(h, shift(thickness, 1), (shift(s, 1) - here) * self.per_x),
            _Slope(h, shift(thickness, w), (shift(s, w) - here) * self.per_y),
        )

    def faces(self, thickness: Float[Array, " state"]) -> tuple[_Face, _Face]:
        """Thickness and slopes at the x-faces and the y-faces."""
        shift = self.layout.shift
        slope_x, slope_y = self.slopes(thickness)
        x, y = lax.optimization_barrier((driving_slope(*slope_x), driving_slope(*slope_y)))

        def face(own: _Slope, across: Array, other: _Slope, drop: Array, beside: Callable) -> _Face:
            deep = other.first + other.second
            weight = beside(deep)
            per_weight = 1 / jnp.where(weight > LEAST, weight, 1.0)
            along, squared = per_weight * beside(deep * drop), per_weight * beside(deep * drop**2)
            return _Face(shift(own.first, 0), shift(own.second, 0), shift(across, 0), per_weight, along, squared)

        return face(slope_x, x, slope_y, y, self.beside_x), face(slope_y, y, slope_x, x, self.beside_y)

    def beside_x(self, part: Array) -> Array:
        """The sum over the four y-faces beside every x-face."""
        shift, w = self.layout.shift, self.layout.width
        return shift(part, 0) + shift(part, 1) + shift(part, -w) + shift(part, 1 - w)

    def beside_y(self, part: Array) -> Array:
        """The sum over the four x-faces beside every y-face: the transpose of `beside_x`."""
        shift, w = self.layout.shift, self.layout.width
        return shift(part, 0) + shift(part, w) + shift(part, -1) + shift(part, w - 1)

    def near(self, thickness: Float[Array, " state"], transposed: bool) -> Laws:
        """The laws for a step from here: what costs much in them follows the ice to first order (`FlowLaw.near`)."""
        shift, w = self.layout.shift, self.layout.width
        ice = shift(thickness, 0) > 0
        # faces of cells with ice, and of those beside them: there it may come
        around = shift(ice, 0) | shift(ice, 1) | shift(ice, -1) | shift(ice, w) | shift(ice, -w)
        x, y = map(_local, self.faces(thickness))
        if self.thicknesses is None:
            laws = Laws(self.laws.x.near(x, around, transposed), self.laws.y.near(y, around, transposed))
            return Laws(*map(closed, laws))

        def near(law: FlowLaw, ice: LocalIce, felt: Array) -> FlowLaw:
            law = closed(law.near(LocalIce(ice.thickness, felt + FLAT), around, transposed))
            return displaced(law, ice.slope_squared, felt + FLAT)

        felt_x, felt_y = self.layout.at_faces(self._felt(thickness, self.thicknesses))
        return Laws(near(self.laws.x, x, felt_x), near(self.laws.y, y, felt_y))

    def _felt(self, thickness: Float[Array, " state"], thicknesses: Array) -> Float[Array, " cells"]:
        """Square of the averaged slope."""
        reach = 3 * self.layout.reach
        h, bed = (part[reach : part.shape[0] - reach].reshape(self.layout.shape) for part in (thickness, self.bed))
        return averaged(h, h + bed, 1 / self.per_x, 1 / self.per_y, thicknesses).ravel()

    def under(self, laws: Laws) -> ShallowIce:
        """The same with other laws."""
        return eqx.tree_at(lambda e: e.laws, self, laws)

    def flux(self, thickness: Float[Array, " state"]) -> Flux:
        """Ice flux through every face, m2 per year."""
        x, y = self.faces(thickness)
        return Flux(face_flux(self.laws.x, x), face_flux(self.laws.y, y))

    def divergence(self, flux: Flux) -> Float[Array, " cells"]:
        """Of a flux through faces, per cell, m per year."""
        shift, w = self.layout.shift, self.layout.width
        out_x = shift(flux.x, 0) - shift(flux.x, -1)
        return out_x * self.per_x + (shift(flux.y, 0) - shift(flux.y, -w)) * self.per_y

    def divergence_transpose(self, cells: Float[Array, " slopes"]) -> Flux:
        """The transpose of `divergence`, for cells within margins."""
        shift, w = self.layout.shift, self.layout.width
        here = shift(cells, 0)
        return Flux((here - shift(cells, 1)) * self.per_x, (here - shift(cells, w)) * self.per_y)

    def flux_transpose(
        self, thickness: Float[Array, " state"], cotangent: Flux
    ) -> tuple[Laws, Float[Array, " cells"], Float[Array, " cells"]]:
        """The transpose of the derivative of `flux`, written as a stencil.

        What costs is the number of passes over the fields, so that cheap things (which cell gives, whether it
        is thin) are found again where they are needed instead of being stored.

        Args:
            thickness: where the derivative is taken, m.
            cotangent: of the flux.

        Returns:
            Cotangents of the laws (for `elementwise.summed`), of the thickness at fixed surface, and of the surface.
        """
        shift, w, reach = self.layout.shift, self.layout.width, self.layout.reach
        x, y = self.faces(thickness)
        law_x, ice_x, across_x, along_x = _face_transpose(self.laws.x, x, cotangent.x)
        law_y, ice_y, across_y, along_y = _face_transpose(self.laws.y, y, cotangent.y)
        along_x, along_y = lax.optimization_barrier((along_x, along_y))
        ice_x, ice_y = lax.optimization_barrier((ice_x, ice_y))
        slope_x, slope_y = self.slopes(thickness)
        of_thickness = of_surface = jnp.zeros(())
        for face, slope, of_ice, of_across, felt, offset, per in (
            (x, slope_x, ice_x, across_x, map(self.beside_x, along_y), 1, self.per_x),
            (y, slope_y, ice_y, across_y, map(self.beside_y, along_x), w, self.per_y),
        ):
            of_driving, of_deep = _along_transpose(_Slope(*(shift(shift(part, 0), 0) for part in slope)), *felt)
            of_driving, of_deep = lax.optimization_barrier((shift(of_across, 0) + of_driving, of_deep))
            # beyond the padded grid there is no ice, no flux and no cotangent
            of_driving, of_deep = lax.optimization_barrier((padded(of_driving, reach), padded(of_deep, reach)))
            limited = _donor_limited_transpose(face, of_ice)
            thin = _driving_slope_transpose(_Slope(*(shift(part, 0) for part in slope)), of_driving)
            of_thickness += shift(limited[0] + thin.first + of_deep, 0)
            of_thickness += shift(limited[1] + thin.second + of_deep, -offset)
            of_surface += (shift(thin.drop, -offset) - shift(thin.drop, 0)) * per
        return Laws(law_x, law_y), of_thickness, of_surface

    def derivative(self, thickness: Float[Array, " state"]) -> Stencil:
        """Of the divergence of the flux by the thickness of every cell, the bed being held."""
        shift, w = self.layout.shift, self.layout.width

        def own(law: FlowLaw, face: _Face, slope: _Slope, per: Array) -> tuple[Array, ...]:
            """Of the flux by both cells, and by what lies beside it as `_face_transpose` has that."""
            _, of_ice, of_across, beside = _face_transpose(law, face, jnp.ones_like(face.across))
            first, second = _donor_limited_transpose(face, of_ice)
            thin = _driving_slope_transpose(_Slope(*(shift(part, 0) for part in slope)), of_across)
            return first + thin.first - per * thin.drop, second + thin.second + per * thin.drop, *beside

        def felt(slope: _Slope, per: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
            """By both cells of a slope: what goes with the coefficients of its square and of twice it."""
            drop, deep = driving_slope(*slope), slope.first + slope.second
            thin = _driving_slope_transpose(slope, jnp.ones_like(drop))
            by = thin.first - per * thin.drop, thin.second + per * thin.drop
            first, second = ((drop * (drop + 2 * deep * b), 2 * (drop + deep * b)) for b in by)
            return first, second

        x, y = self.faces(thickness)
        slope_x, slope_y = self.slopes(thickness)
        of_x, of_y = own(self.laws.x, x, slope_x, self.per_x), own(self.laws.y, y, slope_y, self.per_y)
        felt_x, felt_y = felt(slope_x, self.per_x), felt(slope_y, self.per_y)
        of_x, of_y, felt_x, felt_y = lax.optimization_barrier((of_x, of_y, felt_x, felt_y))
        rows = dict.fromkeys(self.layout.around, jnp.zeros(()))
        for of, across, beside, along, per in ((of_x, 1, felt_y, w, self.per_x), (of_y, w, felt_x, 1, self.per_y)):
            first, second, square, twice, one = of
            by = {0: first, across: second}  # the flux through a face, by the cell at an offset from its first one
            for place in (0, across, -along, across - along):
                for end, (of_square, of_twice) in zip((place, place + along), beside, strict=True):
                    part = square * shift(of_square, place) + twice * shift(of_twice, place) + one
                    by[end] = by.get(end, 0.0) + part
            for at, part in lax.optimization_barrier(by).items():
                rows[at] += per * shift(part, 0)
                rows[at - across] -= per * shift(part, -across)
        return Stencil(lax.optimization_barrier(tuple(rows.values())), self.layout)

    def rates(
        self, thickness: Float[Array, " state"]
    ) -> tuple[Float[Array, " cells"], Float[Array, ""], Float[Array, ""]]:
        """What steps are chosen by; not differentiated.

        Returns:
            thinning: divergence of the flux, m per year.
            stiffness: bound of the largest eigenvalue of the diffusion, per year (Gershgorin's). Along the slope the
                linearised diffusivity is D + s dD/ds (n times D for Glen), across it D.
            courant: bound of the speed of kinematic waves, dD/dH s, in cells per year.
        """

        def of(law: FlowLaw, face: _Face, per: Array) -> tuple[Array, Array, Array]:
            # a nearly level surface may tilt the other way within the step, and the limit by the giving cell go
            level = jnp.abs(face.across) < THIN * per
            point = jnp.where(level, _typical(face)[0], _donor_limited(face)), face.slope_squared
            one, none = jnp.ones_like(point[0]), jnp.zeros_like(point[0])

            def diffusivity(*point: Array) -> Array:
                return -_diffusivity(law, *point)

            value, change = jax.jvp(diffusivity, point, (none, 2 * face.across**2))
            wave = jax.jvp(diffusivity, point, (one, none))[1] * jnp.abs(face.across)
            return face_flux(law, face), value + change, wave

        x, y = self.faces(thickness)
        x, y = lax.optimization_barrier((of(self.laws.x, x, self.per_x), of(self.laws.y, y, self.per_y)))
        shift, w = self.layout.shift, self.layout.width
        sides = (shift(x[1], 0) + shift(x[1], -1)) * self.per_x**2 + (shift(y[1], 0) + shift(y[1], -w)) * self.per_y**2
        courant = jnp.max(x[2]) * self.per_x + jnp.max(y[2]) * self.per_y
        result = (self.divergence(Flux(x[0], y[0])), 2 * jnp.max(sides), courant)
        return lax.stop_gradient(lax.optimization_barrier(result))

    def coupling(self, thickness: Float[Array, " state"]) -> tuple[Array, Array, Array, Array]:
        """Derivatives of the flux through faces by the thickness of their first and second cell, x then y; m per year.

        The slope along a face is held, and so is what thin ice takes off the slope: for preconditioners.
        """

        def of(law: FlowLaw, face: _Face, per: Array) -> tuple[Array, Array]:
            _, of_ice, of_across, _ = _face_transpose(law, face, jnp.ones_like(face.across))
            first, second = _donor_limited_transpose(face, of_ice)
            return first - per * of_across, second + per * of_across

        x, y = self.faces(thickness)
        return lax.optimization_barrier((*of(self.laws.x, x, self.per_x), *of(self.laws.y, y, self.per_y)))

    def balance_rate(
        self, thickness: Float[Array, " cells"], start: Array, end: Array, transposed: bool = False
    ) -> Float[Array, " cells"]:
        """Mean balance over [start, end] at the surface of a thickness, m of ice per year.

        A positive one acts only inside the outline: next door is somebody else's ice. With `transposed`
        it is open to reverse mode only, and faster there.
        """
        if self.balance is None:
            return jnp.zeros_like(thickness)
        reach = 3 * self.layout.reach
        surface = thickness + self.bed[reach : self.bed.shape[0] - reach]
        of = elementwise.transposed(_rate) if transposed else _rate
        rate = lax.optimization_barrier(of(self.balance, surface, start, end))
        return lax.optimization_barrier(jnp.where(self.mask | (rate < 0), rate, 0.0) * self.inside)


def _rate(balance: MassBalance, surface: Array, start: Array, end: Array) -> Array:
    return balance.rate(surface, start, end)


def _driving_slope_transpose(slope: _Slope, cotangent: Array) -> _Slope:
    """The transpose of the derivative of `driving_slope`."""
    downward = slope.drop < 0
    donor = jnp.where(downward, slope.first, slope.second)
    of_donor = jnp.where(donor < THIN, cotangent * slope.drop * (1 / THIN), 0.0)
    of_drop = cotangent * jnp.where(donor < THIN, donor * (1 / THIN), 1.0)
    return _Slope(jnp.where(downward, of_donor, 0.0), jnp.where(downward, 0.0, of_donor), of_drop)


def _donor_limited(face: _Face) -> Array:
    donor = jnp.where(face.across < 0, face.first, face.second)
    typical, most = _typical(face)[0], DONOR_LIMIT * donor
    return jnp.where(most < typical, most, typical)


def _typical(face: _Face) -> tuple[Array, Array]:
    """Typical thickness between two cells, and their difference over their sum."""
    total = face.first + face.second
    contrast = (face.first - face.second) / jnp.where(total > LEAST, total, 1.0)
    return total * (0.5 + SPREAD * contrast**2), contrast


def _point(face: _Face) -> tuple[Array, Array]:
    """Thickness and slope squared that a face's flux is taken at."""
    return _donor_limited(face), face.slope_squared


def _local(face: _Face) -> LocalIce:
    return LocalIce(*_point(face))


def _diffusivity(law: FlowLaw, ice: Array, slope_squared: Array) -> Array:
    return -constants.SECONDS_PER_YEAR * law.mobility(LocalIce(ice, slope_squared))[0]


def face_flux(law: FlowLaw, face: _Face) -> Array:
    """Flux through a face, elementwise, m2 per year."""
    return _diffusivity(law, *_point(face)) * face.across


def _donor_limited_transpose(face: _Face, cotangent: Array) -> tuple[Array, Array]:
    """Cotangents of the thickness of both cells."""
    donor_first = face.across < 0
    donor = jnp.where(donor_first, face.first, face.second)
    typical, contrast = _typical(face)
    limited = DONOR_LIMIT * donor < typical
    both, apart = 0.5 - SPREAD * contrast**2, 2 * SPREAD * contrast
    of_first = jnp.where(limited, jnp.where(donor_first, DONOR_LIMIT, 0.0), both + apart)
    of_second = jnp.where(limited, jnp.where(donor_first, 0.0, DONOR_LIMIT), both - apart)
    return cotangent * of_first, cotangent * of_second


def _face_transpose(
    law: FlowLaw, face: _Face, cotangent: Array
) -> tuple[FlowLaw, Array, Array, tuple[Array, Array, Array]]:
    """The transpose of the derivative of `face_flux`: cotangents of law, ice, slope across and slopes along.

    These are the coefficients of the square of every slope beside the face, of twice the slope and of 1, by which
    the flux changes with the weight of that slope.
    """
    ice, slope_squared = lax.optimization_barrier(_point(face))
    per_year = -constants.SECONDS_PER_YEAR * face.across
    of_law, of_ice, of_slope = law.transpose(LocalIce(ice, slope_squared), cotangent * per_year)
    of_across = cotangent * _diffusivity(law, ice, slope_squared) + 2 * face.across * of_slope
    square = VARIANCE * of_slope * face.per_weight
    twice = (1 - VARIANCE) * of_slope * face.per_weight * face.along
    return of_law, of_ice, of_across, (square, twice, -2 * twice * face.along - square * face.along_squared)


def _along_transpose(slope: _Slope, square: Array, twice: Array, one: Array) -> tuple[Array, Array]:
    """Cotangents of a driving slope and of the thickness of both its cells, by the faces that it lies along."""
    drop = driving_slope(*slope)
    return 2 * (slope.first + slope.second) * (square * drop + twice), (square * drop + 2 * twice) * drop + one


def surface_velocity(law: FlowLaw, thickness: Any, surface: Any, dx: Any, dy: Any) -> tuple[Array, Array]:
    """Surface velocity at cell centres from the same law as the flux.

    Args:
        law: the flow law.
        thickness, surface: (y, x), m.
        dx, dy: cell widths, m; dy is negative where y descends.

    Returns:
        vx, vy: (y, x), along the map's x and y, m per year; for slopes see `slope.at_centres`.
    """
    law, thicknesses = uncoupled(law)
    slope_x, slope_y = at_centres(thickness, surface, dx, dy)
    felt = slope_x**2 + slope_y**2 if thicknesses is None else averaged(thickness, surface, dx, dy, thicknesses)
    _, mobility = law.mobility(LocalIce(thickness, felt + FLAT))
    mobility = constants.SECONDS_PER_YEAR * mobility
    return -mobility * slope_x, -mobility * slope_y
