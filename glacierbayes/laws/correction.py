"""A multiplier that is an unknown function of named inputs."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
from jaxtyping import Array, Float

from glacierbayes.laws.base import LocalIce
from glacierbayes.laws.multiplier import Multiplier

ICE_INPUTS = ("thickness", "slope")


class Correction(Multiplier):
    """The multiplier exp(function(inputs)): `Glen(A) * Correction(f)` has the diffusivity D exp f(H, s).

    It multiplies flux and surface velocity alike, so that their ratio stays that of the law.

    Attributes:
        function: takes one array for each input, in their order; a `functions.UnknownFunction`, for example. One with a
            sampled value in it is `jax.tree_util.Partial(function, value)`; a lambda may hold plain numbers only.
        inputs: "thickness" (m), "slope", or names of fields of the glacier.
    """

    function: Callable
    inputs: tuple[str, ...] = eqx.field(static=True, default=ICE_INPUTS)

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of those inputs that are fields of the glacier."""
        return tuple(name for name in self.inputs if name not in ICE_INPUTS)

    def log(self, ice: LocalIce) -> Float[Array, "*points"]:
        """The value of the function at every point, of the shape of `ice.thickness`."""
        return self.function(*(ice[name] for name in self.inputs))
