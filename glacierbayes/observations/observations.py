"""`Observations`: everything that was seen of one glacier."""

from __future__ import annotations

import equinox as eqx

from glacierbayes.observations.geodetic import GeodeticBalance
from glacierbayes.observations.velocity import Velocity


class Observations(eqx.Module):
    """What was seen of one glacier; what was not is None.

    Attributes:
        velocity: surface velocity in blocks, or None.
        geodetic: geodetic mass balance, or None.
        notes: one line for everything that was left out, filled or doubted.
        files: (file name, SHA-256) of what was read.
    """

    velocity: Velocity | None = None
    geodetic: GeodeticBalance | None = None
    notes: tuple[str, ...] = eqx.field(static=True, default=())
    files: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())

    @property
    def years(self) -> tuple[float, ...]:
        """Dates at which a run must save the thickness."""
        kinds = [kind for kind in (self.velocity, self.geodetic) if kind is not None]
        return tuple(sorted({year for kind in kinds for year in kind.years}))
