"""The sections of the report: what a section is, and the list that a new one is added to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glacierbayes.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure


class SectionUnavailable(Exception):
    """These draws hold no data for a section. The text says why, and stands in the report in its place."""


@dataclass(frozen=True)
class Section:
    """One section of the report.

    Attributes:
        name: of the file with the figure or the table, without its ending.
        title: its heading.
        caption: what the reader should look for, as plain text.
        draw: takes the draws and returns a matplotlib `Figure`, a pandas `DataFrame`, or None where the section does
            not apply and is left out. It raises `SectionUnavailable` where the draws lack what it needs.
        by_glacier: whether it is drawn once for every glacier, with the draws of that glacier alone.
        observed: names of the observed variables that it draws, so that the section for all others leaves them out.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[xr.DataTree], Figure | pd.DataFrame | None]
    by_glacier: bool = False
    observed: tuple[str, ...] = ()


_sections: dict[str, Section] = {}


def register_section(
    name: str,
    title: str,
    caption: str,
    draw: Callable[[xr.DataTree], Any],
    by_glacier: bool = False,
    observed: tuple[str, ...] = (),
    before: str | None = None,
) -> Section:
    """Adds a section to every report that is written from now on.

    A section with the same name is replaced in its place.

    Args:
        name: of the file with the figure or the table, without its ending: letters, digits and underscores.
        title: its heading.
        caption: what the reader should look for, as plain text.
        draw: takes the draws, an `xarray.DataTree`, and returns a matplotlib `Figure`, a pandas `DataFrame`, or None
            where the section does not apply and is left out. It raises `glacierbayes.report.SectionUnavailable` with
            the reason where the draws lack what it needs.
        by_glacier: whether it is drawn once for every glacier, with the draws of that glacier alone.
        observed: names of the observed variables that it draws, so that the section for all others leaves them out.
        before: name of the section that it stands before; None for the end.

    Raises:
        InputError: the name cannot be the name of a file, or there is no section named `before`.
    """
    if not name.isidentifier():
        raise InputError(f"section {name!r}: expected a name of letters, digits and underscores")
    section = Section(name, title, caption, draw, by_glacier, tuple(observed))
    if name in _sections or before is None:
        _sections[name] = section
        return section
    if before not in _sections:
        raise InputError(f"section {name!r}: there is no section {before!r}, expected {', '.join(_sections)}")
    order = list(_sections.items())
    place = [key for key, _ in order].index(before)
    _sections.clear()
    _sections.update([*order[:place], (name, section), *order[place:]])
    return section


def unregister_section(name: str) -> None:
    """Takes a section out of all further reports; nothing happens where there is none of that name."""
    _sections.pop(name, None)


def registered_sections() -> list[Section]:
    """All sections in their order, those of the package included."""
    return list(_sections.values())
