"""Every kind of data that has no section of its own: observed values against their prediction."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from glacierbayes.report.fit import ObservedKind, observed_kinds
from glacierbayes.report.parameters import QUANTILES, plain_name, units_text
from glacierbayes.report.registry import register_section, registered_sections
from glacierbayes.report.style import OBSERVED, POSTERIOR
from glacierbayes.statistics import coverage

LABELS_UPRIGHT = 8  # so many labels of an axis stand beside each other; more are turned


def observed_data(draws: xr.DataTree) -> Figure | None:
    """Observed values with the posterior predictive median and its 90 % interval, a panel for each kind of data.

    Values with one dimension are drawn along its coordinate, those with more against their prediction.

    Returns:
        None where every kind of data in the draws has a section of its own.
    """
    elsewhere = {name for section in registered_sections() for name in section.observed}
    kinds = [kind for kind in observed_kinds(draws) if kind.name not in elsewhere]
    if not kinds:
        return None
    figure = Figure(figsize=(8.8, 3.3 * len(kinds) + 0.3), layout="constrained")
    axes = figure.subplots(len(kinds), 1, squeeze=False)[:, 0]
    for axis, kind in zip(axes, kinds, strict=True):
        (_along_coordinate if kind.observed.ndim == 1 else _against_prediction)(axis, kind)
        share = coverage(kind.observed.values, kind.modelled, kind.predictive)
        label = plain_name(kind.name)
        title = f"{label[:1].upper() + label[1:]}: intervals hold {100 * share:.0f} % of {kind.observed.size} data"
        axis.set_title(title)
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _along_coordinate(axis: Axes, kind: ObservedKind) -> None:
    dim = str(kind.observed.dims[0])
    places = kind.observed[dim]
    at, label = places.values, str(places.attrs.get("long_name", dim.replace("_", " ")))
    if at.dtype.kind not in "iuf":
        at = np.arange(at.size)
        axis.set_xticks(at, [str(text) for text in places.values], rotation=0 if at.size <= LABELS_UPRIGHT else 90)
    elif at.dtype.kind in "iu":
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    lower, median, upper = np.quantile(kind.predictive, (QUANTILES[0], 0.5, QUANTILES[1]), axis=0)
    spread = np.stack([median - lower, upper - median])
    axis.errorbar(at, median, yerr=spread, fmt="_", color=POSTERIOR, ms=9, lw=1.4, label="predicted, 90 %")
    axis.plot(at, kind.observed.values, "o", color=OBSERVED, ms=4, label="observed")
    axis.set_xlabel(label + units_text(str(places.attrs.get("units", ""))))
    axis.set_ylabel(kind.long_name + units_text(kind.units))


def _against_prediction(axis: Axes, kind: ObservedKind) -> None:
    lower, median, upper = (
        values.ravel() for values in np.quantile(kind.predictive, (QUANTILES[0], 0.5, QUANTILES[1]), axis=0)
    )
    observed = kind.observed.values.ravel()
    axis.vlines(observed, lower, upper, color=POSTERIOR, lw=0.8, alpha=0.35)
    axis.plot(observed, median, "o", color=POSTERIOR, ms=3, label="predicted, 90 %")
    middle = float(observed.mean())
    axis.axline((middle, middle), slope=1.0, color="0.4", lw=0.8, zorder=0)
    axis.set_xlabel(f"observed{units_text(kind.units)}")
    axis.set_ylabel(f"predicted{units_text(kind.units)}")


register_section(
    "observed_data",
    "Further observations",
    "Bars hold 90 % of what the model, with its errors, expects to be observed; about nine of ten of them should hold "
    "the observed value.",
    observed_data,
    by_glacier=True,
)
