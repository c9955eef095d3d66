"""What a flow law is: one method that gives diffusivity and surface velocity from the same pieces."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from glacierbayes.errors import InputError
from glacierbayes.numerics import elementwise
from glacierbayes.numerics.powers import power

if TYPE_CHECKING:
    from glacierbayes.laws.factor import Factor, Scaled


class LocalIce(eqx.Module):
    """The ice at one set of points, faces of the grid or cell centres alike.

    `ice["temperature"]` is a field of the glacier that the law asked for in `needs`; "thickness" and "slope" are
    always there.

    Attributes:
        thickness: m, any shape.
        slope_squared: of the surface, same shape.
        fields: what the law needs besides, by name, same shape.
    """

    thickness: Float[Array, "*points"]
    slope_squared: Float[Array, "*points"]
    fields: dict[str, Float[Array, "*points"]] = eqx.field(default_factory=dict)

    @property
    def slope(self) -> Float[Array, "*points"]:
        """Surface slope."""
        return jnp.sqrt(self.slope_squared)

    def slope_power(self, exponent: Any) -> Float[Array, "*points"]:
        """slope ** exponent, without a square root where the exponent is an even number."""
        return power(self.slope_squared, exponent / 2)

    def __getitem__(self, name: str) -> Float[Array, "*points"]:
        """A field by its name, or "thickness" or "slope"."""
        if name not in self.fields and name not in ("thickness", "slope"):
            raise InputError(f"a law asks for ice[{name!r}] without saying so: give its class needs = ({name!r},)")
        return self.fields[name] if name in self.fields else getattr(self, name)

    def over(self, fields: dict[str, Array]) -> LocalIce:
        """The same ice with these fields too."""
        return LocalIce(self.thickness, self.slope_squared, {**self.fields, **fields})


class FlowLaw(eqx.Module):
    """A law of ice flow. Laws add, and take factors: `Glen(...) * Softening(...) + WeertmanSliding(...)`.

    A law of your own is a subclass with `mobility`, differentiable in JAX; its parameters are its attributes.
    """

    needs: ClassVar[tuple[str, ...]] = ()  # names of fields of the glacier

    @abstractmethod
    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity and surface mobility, from the same pieces, so that they cannot disagree.

        Args:
            ice: thickness and slope at the points, and the fields that the law needs.

        Returns:
            D in m2 s-1 (volume flux over slope, at least 0) and surface speed over slope in m s-1,
            each of the shape of `ice.thickness`.
        """

    def at(self, fields: Mapping[str, Array]) -> FlowLaw:
        """The law at one set of points, with what does not change with the ice worked out. Once a run.

        Args:
            fields: all fields of the glacier at the points.

        Raises:
            InputError: a field that the law needs is not there.
        """
        return LawAt(self, needed(self, fields)) if self.needs else self

    def near(self, ice: LocalIce, wanted: Bool[Array, " points"], transposed: bool = False) -> FlowLaw:
        """The law for ice like this, with what costs much to first order in its changes. Once a step.

        Args:
            ice: at one vector of points.
            wanted: the points that matter, where ice is or may come in the step.
            transposed: open to reverse mode only.
        """
        return self

    def transpose(self, ice: LocalIce, cotangent: Array) -> tuple[FlowLaw, Array, Array]:
        """The transpose of the derivative of the diffusivity, at one vector of points.

        Returns:
            Cotangents of the law (see `elementwise.transpose`), of the thickness and of the slope squared.
        """

        def diffusivity(law: FlowLaw, thickness: Array, slope_squared: Array) -> Array:
            return law.mobility(LocalIce(thickness, slope_squared))[0]

        at = (ice.thickness, ice.slope_squared)
        of_law, (of_thickness, of_slope) = elementwise.transpose(diffusivity, self, at, cotangent)
        return of_law, of_thickness, of_slope

    def __add__(self, other: FlowLaw) -> SumOfLaws:
        """Both at once: diffusivities add, and so do surface velocities."""
        return SumOfLaws((self, other))

    def __mul__(self, factor: Factor) -> Scaled:
        """Flux and surface velocity times a factor that depends on the place, the ice or both."""
        from glacierbayes.laws.factor import Factor, Scaled  # a law itself

        if not isinstance(factor, Factor):
            raise InputError(f"a law is multiplied by a Factor, not by {factor!r}; for a number change its parameter")
        return Scaled(self, factor)


class SumOfLaws(FlowLaw):
    """Several laws at once."""

    laws: tuple[FlowLaw, ...]

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """The sums over the laws; m2 s-1 and m s-1."""
        diffusivities, speeds = zip(*(law.mobility(ice) for law in self.laws), strict=True)
        return reduce(add, diffusivities), reduce(add, speeds)

    def at(self, fields: Mapping[str, Array]) -> SumOfLaws:
        """Each."""
        return SumOfLaws(tuple(law.at(fields) for law in self.laws))

    def near(self, ice: LocalIce, wanted: Bool[Array, " points"], transposed: bool = False) -> SumOfLaws:
        """Each."""
        return SumOfLaws(tuple(law.near(ice, wanted, transposed) for law in self.laws))

    def transpose(self, ice: LocalIce, cotangent: Array) -> tuple[FlowLaw, Array, Array]:
        """Each, summed."""
        of_laws, of_thickness, of_slope = zip(*(law.transpose(ice, cotangent) for law in self.laws), strict=True)
        return SumOfLaws(of_laws), reduce(add, of_thickness), reduce(add, of_slope)


class LawAt(FlowLaw):
    """A law with the fields that it needs.

    Attributes:
        law: the law.
        fields: at the points.
    """

    law: FlowLaw
    fields: dict[str, Float[Array, "*points"]]

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """The law's."""
        return self.law.mobility(ice.over(self.fields))


class Closed(FlowLaw):
    """A law without what JAX cannot trace, such as the activation function of a network."""

    arrays: FlowLaw
    rest: FlowLaw = eqx.field(static=True)

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """The law's."""
        return eqx.combine(self.arrays, self.rest).mobility(ice)


def closed(law: FlowLaw) -> FlowLaw:
    """A law all of whose leaves are arrays."""
    arrays, rest = eqx.partition(law, eqx.is_array_like)
    return Closed(jax.tree.map(jnp.asarray, arrays), rest) if jax.tree.leaves(rest) else law


def needed(law: FlowLaw | Factor, fields: Mapping[str, Array]) -> dict[str, Array]:
    """The fields that a law or a factor needs."""
    for name in law.needs:
        if name not in fields:
            raise InputError(
                f"law {type(law).__name__} needs the field {name!r}; the glacier has {sorted(fields) or 'none'}: "
                f"give it as Glacier(..., fields={{{name!r}: ...}})"
            )
    return {name: fields[name] for name in law.needs}
