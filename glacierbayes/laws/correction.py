"""A factor that is an unknown function of named inputs."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
from jaxtyping import Array, Float

from glacierbayes.laws.base import LocalIce
from glacierbayes.laws.factor import Factor

OF_THE_ICE = ("thickness", "slope")


class Correction(Factor):
    """exp(function(inputs)): `Glen(A) * Correction(f)` has the diffusivity D exp f(H, s).

    It multiplies the flux and the surface velocity alike: their ratio stays that of the law.

    Attributes:
        function: of the inputs in their order, such as a `Function`. One with a sampled value in it is
            `jax.tree_util.Partial(function, value)`; a lambda may hold plain numbers only.
        inputs: "thickness" (m), "slope", or names of fields of the glacier.
    """

    function: Callable
    inputs: tuple[str, ...] = eqx.field(static=True, default=OF_THE_ICE)

    @property
    def needs(self) -> tuple[str, ...]:
        """The inputs that are fields of the glacier."""
        return tuple(name for name in self.inputs if name not in OF_THE_ICE)

    def log(self, ice: LocalIce) -> Float[Array, "*points"]:
        """The function."""
        return self.function(*(ice[name] for name in self.inputs))
