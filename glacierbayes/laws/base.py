"""The interface of a flow law: one method gives the diffusivity and the surface velocity from the same quantities."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, ClassVar, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from glacierbayes.errors import InputError
from glacierbayes.numerics import elementwise
from glacierbayes.numerics.powers import power


class LocalIce(eqx.Module):
    """The state of the ice at a set of points, which may be faces of the grid or cell centres.

    `ice["temperature"]` is a field of the glacier that the law asked for in `needs`. The names "thickness" and "slope"
    are always available.

    Attributes:
        thickness: ice thickness, m, of any shape.
        slope_squared: square of the surface slope, of the same shape.
        fields: further fields by name, of the same shape.
    """

    thickness: Float[Array, "*points"]
    slope_squared: Float[Array, "*points"]
    fields: dict[str, Float[Array, "*points"]] = eqx.field(default_factory=dict)

    @property
    def slope(self) -> Float[Array, "*points"]:
        """The surface slope (dimensionless), of the shape of `thickness`."""
        return jnp.sqrt(self.slope_squared)

    def slope_power(self, exponent: Any) -> Float[Array, "*points"]:
        """The slope raised to an exponent. An even exponent needs no square root."""
        return power(self.slope_squared, exponent / 2)

    def __getitem__(self, name: str) -> Float[Array, "*points"]:
        """A field by its name, or "thickness" (m), or "slope".

        Raises:
            InputError: the field was not declared in `needs` of the law.
        """
        if name not in self.fields and name not in ("thickness", "slope"):
            raise InputError(f"a law asks for ice[{name!r}] without saying so: give its class needs = ({name!r},)")
        return self.fields[name] if name in self.fields else getattr(self, name)

    def with_fields(self, fields: dict[str, Array]) -> LocalIce:
        """The same ice with further fields, each of the shape of `thickness`."""
        return LocalIce(self.thickness, self.slope_squared, {**self.fields, **fields})


@runtime_checkable
class MultipliesLaws(Protocol):
    """What may stand to the right of `law * ...`, such as a `laws.Multiplier`."""

    def multiply(self, law: FlowLaw) -> FlowLaw:
        """The law whose flux and surface velocity are those of `law` times this."""
        ...


class FlowLaw(eqx.Module):
    """A law of ice flow. Laws are added, and multiplied: `Glen(...) * Softening(...) + WeertmanSliding(...)`.

    To define a law, write a subclass with the method `mobility`, differentiable in JAX. Its parameters are its
    attributes. The other methods have defaults; a law that is costly may override them.
    """

    needs: ClassVar[tuple[str, ...]] = ()  # names of the glacier's fields that `mobility` reads

    @abstractmethod
    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """The diffusivity and the surface mobility, computed from the same quantities so that they agree.

        Args:
            ice: thickness and slope at the points, and the fields that the law needs.

        Returns:
            The diffusivity D in m2 s-1 (volume flux over slope, not negative), and the surface speed over slope in
            m s-1, each of the shape of `ice.thickness`.
        """

    def bind_fields(self, fields: Mapping[str, Array]) -> FlowLaw:
        """The law at one set of points, with all that does not depend on the ice computed. Called once in a run.

        Args:
            fields: arrays of the glacier at the points, by name.

        Raises:
            InputError: a field that the law needs is missing.
        """
        return BoundLaw(self, select_fields(self, fields)) if self.needs else self

    def linearize(self, ice: LocalIce, active: Bool[Array, " points"], reverse_mode: bool = False) -> FlowLaw:
        """The law with its costly parts replaced by their tangents at this ice. Called once in a time step.

        Args:
            ice: the ice at one vector of points at the start of the step.
            active: the points where there is ice, or where ice may arrive within the step.
            reverse_mode: whether the result must be open to reverse-mode differentiation only.
        """
        return self

    def transpose_diffusivity(self, ice: LocalIce, cotangent: Array) -> tuple[FlowLaw, Array, Array]:
        """The transpose of the derivative of the diffusivity, at one vector of points.

        Args:
            ice: where the derivative is taken.
            cotangent: of the diffusivity.

        Returns:
            The cotangents of the law (as `elementwise.transpose` gives them), of the thickness, and of the square of
            the slope.
        """

        def diffusivity(law: FlowLaw, thickness: Array, slope_squared: Array) -> Array:
            return law.mobility(LocalIce(thickness, slope_squared))[0]

        fields = (ice.thickness, ice.slope_squared)
        ct_law, (ct_thickness, ct_slope_squared) = elementwise.transpose(diffusivity, self, fields, cotangent)
        return ct_law, ct_thickness, ct_slope_squared

    def __add__(self, other: FlowLaw) -> SumOfLaws:
        """The sum of two laws: their diffusivities add, and so do their surface velocities."""
        return SumOfLaws((self, other))

    def __mul__(self, multiplier: Any) -> FlowLaw:
        """This law times a `laws.Multiplier`, which depends on the place, on the ice, or on both.

        Raises:
            InputError: the right operand is no multiplier, but a number, for example.
        """
        if not isinstance(multiplier, MultipliesLaws):
            raise InputError(
                f"a law is multiplied by a laws.Multiplier, not by {multiplier!r}; for a number change its parameter"
            )
        return multiplier.multiply(self)


class SumOfLaws(FlowLaw):
    """The sum of several laws that act at once, such as creep and sliding.

    Attributes:
        laws: the laws.
    """

    laws: tuple[FlowLaw, ...]

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """The sums of the diffusivities, m2 s-1, and of the surface mobilities, m s-1."""
        diffusivities, speeds = zip(*(law.mobility(ice) for law in self.laws), strict=True)
        return reduce(add, diffusivities), reduce(add, speeds)

    def bind_fields(self, fields: Mapping[str, Array]) -> SumOfLaws:
        """The sum of the laws, each with its fields bound.

        Raises:
            InputError: a field that one of the laws needs is missing.
        """
        return SumOfLaws(tuple(law.bind_fields(fields) for law in self.laws))

    def linearize(self, ice: LocalIce, active: Bool[Array, " points"], reverse_mode: bool = False) -> SumOfLaws:
        """The sum of the linearized laws; see `FlowLaw.linearize`."""
        return SumOfLaws(tuple(law.linearize(ice, active, reverse_mode) for law in self.laws))

    def transpose_diffusivity(self, ice: LocalIce, cotangent: Array) -> tuple[FlowLaw, Array, Array]:
        """The cotangents of all laws, and the sums of those of thickness and slope squared."""
        cotangents = [law.transpose_diffusivity(ice, cotangent) for law in self.laws]
        ct_laws, ct_thickness, ct_slope_squared = zip(*cotangents, strict=True)
        return SumOfLaws(ct_laws), reduce(add, ct_thickness), reduce(add, ct_slope_squared)


class BoundLaw(FlowLaw):
    """A law together with the values of the fields that it needs, at one set of points.

    Attributes:
        law: the law.
        fields: the values at the points, by name.
    """

    law: FlowLaw
    fields: dict[str, Float[Array, "*points"]]

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface mobility, m s-1, of the law with its fields."""
        return self.law.mobility(ice.with_fields(self.fields))


class ArrayOnlyLaw(FlowLaw):
    """A law whose pytree leaves are arrays only, as loops of JAX and cotangents need them.

    Leaves that JAX cannot trace, such as the activation function of a network, are static.

    Attributes:
        arrays: the law with the arrays among its leaves.
        static: the law with all other leaves.
    """

    arrays: FlowLaw
    static: FlowLaw = eqx.field(static=True)

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface mobility, m s-1, of the whole law."""
        return eqx.combine(self.arrays, self.static).mobility(ice)


def array_only(law: FlowLaw) -> FlowLaw:
    """An equivalent law all of whose leaves are arrays; the law itself where that is so already."""
    arrays, static = eqx.partition(law, eqx.is_array_like)
    return ArrayOnlyLaw(jax.tree.map(jnp.asarray, arrays), static) if jax.tree.leaves(static) else law


def select_fields(law: Any, fields: Mapping[str, Array]) -> dict[str, Array]:
    """The fields that a law or a multiplier names in `needs`.

    Args:
        law: the law or the multiplier.
        fields: all fields of the glacier, by name.

    Raises:
        InputError: one of them is missing.
    """
    for name in law.needs:
        if name not in fields:
            raise InputError(
                f"law {type(law).__name__} needs the field {name!r}; the glacier has {sorted(fields) or 'none'}: "
                f"give it as Glacier(..., fields={{{name!r}: ...}})"
            )
    return {name: fields[name] for name in law.needs}
