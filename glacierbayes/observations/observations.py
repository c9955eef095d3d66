"""`Observations`: all observations of one glacier, or of one table."""

from __future__ import annotations

from collections import Counter

import equinox as eqx

from glacierbayes.errors import InputError
from glacierbayes.observations.base import Observation
from glacierbayes.observations.geodetic import GeodeticBalance
from glacierbayes.observations.velocity import Velocity


class Observations(eqx.Module):
    """All observations of one glacier.

    Attributes:
        velocity: surface velocity in blocks; None where there is none.
        geodetic: geodetic mass balance; None where there is none.
        notes: one line for everything that was left out, filled or doubted when the data were read.
        files: (name, SHA-256) of every file that was read.
        others: further observations of any kind, instances of subclasses of `Observation`.

    Raises:
        InputError: one of `others` is not an `Observation`, or two observations have one name.
    """

    velocity: Velocity | None = None
    geodetic: GeodeticBalance | None = None
    notes: tuple[str, ...] = eqx.field(static=True, default=())
    files: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())
    others: tuple[Observation, ...] = eqx.field(converter=tuple, default=())

    def __check_init__(self) -> None:
        """Refuses what is no observation, and two observations under one name."""
        for other in self.others:
            if not isinstance(other, Observation):
                raise InputError(
                    f"Observations: others holds a {type(other).__name__}, "
                    "expected instances of subclasses of gb.Observation"
                )
        names = Counter(name for kind in self.kinds for name in (kind.name, kind.modelled_name))
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise InputError(
                f"Observations: two observations have the name {twice[0]!r}; give each a name of its own, "
                "as a field of the subclass"
            )

    @property
    def kinds(self) -> tuple[Observation, ...]:
        """Every observation that there is: velocity, geodetic balance, then the others in their order."""
        return tuple(kind for kind in (self.velocity, self.geodetic, *self.others) if kind is not None)

    @property
    def years(self) -> tuple[float, ...]:
        """Decimal years at which a run must save the thickness, sorted."""
        return tuple(sorted({float(year) for kind in self.kinds for year in kind.years}))
