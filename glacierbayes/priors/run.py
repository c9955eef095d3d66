"""The run of a glacier in a model: its surface at the start, its thickness, its dates and its likelihood."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Float

from glacierbayes.glacier import Glacier
from glacierbayes.laws import FlowLaw
from glacierbayes.observations.observations import Observations
from glacierbayes.physics.mass_balance import MassBalance
from glacierbayes.priors.balance import mass_balance
from glacierbayes.priors.geometry import surface_at_start, thickness_scale
from glacierbayes.priors.observe import observe
from glacierbayes.solvers.history import History
from glacierbayes.solvers.simulate import simulate


class GlacierRun(NamedTuple):
    """A glacier at the start of its run, with a latent ice thickness.

    Attributes:
        glacier: with the surface of the start year and the thickness of the named product; not traced.
        observations: of the glacier; None for none.
        thickness_scale: factor on the thickness, which `simulate` applies.
        years: start and end of the run, decimal years.
    """

    glacier: Glacier
    observations: Observations | None
    thickness_scale: Float[Array, ""]
    years: tuple[float, float]

    def simulate(self, law: FlowLaw, balance: str | MassBalance = "auto", relative: bool = False) -> History:
        """Runs the glacier and adds the likelihood of its observations to the model.

        Ice that runs out of the window round the outline counts as a failed solve: to compile the run once more for
        the whole grid would double the time of compilation.

        Args:
            law: the flow law.
            balance: a mass balance, or the kind whose parameters are sampled (`priors.mass_balance`).
            relative: whether the velocity has a discrepancy in proportion to the speed.
        """
        if isinstance(balance, str):
            balance = mass_balance(self.glacier, self.observations, self.years, balance)
        save_at = () if self.observations is None else self.observations.years
        glacier = self.glacier.scaled(self.thickness_scale)
        history = simulate(glacier, law, balance, self.years, save_at, leave_window=False)
        observe(history, self.observations, relative)
        return history


def begin_run(
    glacier: Glacier, observations: Observations | None, years: tuple[float, float], **scale: Any
) -> GlacierRun:
    """Moves the surface of the glacier to the start of the run and samples the scale of its thickness.

    Args:
        glacier: not traced.
        observations: of the glacier; None for none.
        years: start and end of the run, decimal years.
        **scale: for `priors.thickness_scale`.
    """
    return GlacierRun(surface_at_start(glacier, observations, years[0]), observations, thickness_scale(**scale), years)
