"""Prior and posterior of one scalar, on the scale on which its prior is nearly normal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

import numpy as np
import xarray as xr

from glacierbayes.declarations import DIVIDER
from glacierbayes.draws.views import bare_name, variables
from glacierbayes.report.registry import SectionUnavailable

CI_PROB = 0.9  # of every interval in the report
QUANTILES = ((1 - CI_PROB) / 2, (1 + CI_PROB) / 2)
HARDLY_LEARNT = 0.1  # contraction below which the posterior is the prior
WELL_LEARNT = 0.5


@dataclass(frozen=True)
class Parameter:
    """One scalar of the posterior.

    Attributes:
        name: of the variable, with the index of the element where it is an array.
        long_name, units: as the draws describe it.
        derived: whether it follows from others.
        posterior: (chain, draw), in `units`.
        prior: (draw,) finite prior draws, in `units`; empty where there are none.
        scale: "log", "logit" or "identity": on which its prior is nearly normal.
    """

    name: str
    long_name: str
    units: str
    derived: bool
    posterior: np.ndarray
    prior: np.ndarray
    scale: str

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Values on the scale; those outside of its open range are left out."""
        if self.scale == "log":
            return np.log(values[values > 0])
        if self.scale == "logit":
            inside = values[(values > 0) & (values < 1)]
            return np.log(inside / (1 - inside))
        return values

    @property
    def contraction(self) -> float:
        """1 - sd_posterior / sd_prior on the scale; NaN without a prior."""
        if self.prior.size < 2:
            return float("nan")
        spread = np.std(self.transform(self.prior))
        return float(1 - np.std(self.transform(self.posterior.ravel())) / spread)

    @property
    def learnt(self) -> str:
        """How much the data constrain the parameter, in a few plain words."""
        contraction = self.contraction
        if np.isnan(contraction):
            return "no prior to compare with"
        prior, posterior = self.transform(self.prior), self.transform(self.posterior.ravel())
        spread = np.std(prior)
        low, high = (np.quantile(posterior, QUANTILES) - np.quantile(prior, QUANTILES)) / spread
        # one end of the prior has gone, the other is still there
        if contraction < WELL_LEARNT and high < -0.75 and abs(low) < 0.4 * abs(high):
            return "upper bound only"
        if contraction < WELL_LEARNT and low > 0.75 and abs(high) < 0.4 * abs(low):
            return "lower bound only"
        if contraction < HARDLY_LEARNT:
            return "hardly learnt from the data"
        return "learnt from the data" if contraction >= WELL_LEARNT else "partly learnt from the data"


def parameters(draws: xr.DataTree) -> list[Parameter]:
    """Every scalar of the posterior, in the order of the file; each element of an array is one.

    Unknown functions and their weights are left out: they have a section of their own.
    """
    prior = variables(draws, "prior")
    rows = []
    for name, variable in variables(draws, "posterior").items():
        if variable.attrs.get("weights", 0) or variable.attrs.get("function", 0):
            continue
        posterior = variable.transpose("chain", "draw", ...).values.astype(float)
        before = np.empty((0, *posterior.shape[2:]))
        if name in prior and prior[name].shape[2:] == posterior.shape[2:]:
            values = prior[name].transpose("chain", "draw", ...).values.astype(float)
            before = values.reshape(-1, *posterior.shape[2:])
        for index in product(*(range(size) for size in posterior.shape[2:])):
            label = str(name) + (f"[{', '.join(map(str, index))}]" if index else "")
            one, old = posterior[:, :, *index], before[:, *index]
            old = old[np.isfinite(old)]
            rows.append(
                Parameter(
                    label,
                    str(variable.attrs.get("long_name", label)),
                    str(variable.attrs.get("units", "")),
                    bool(variable.attrs.get("derived", 0)),
                    one,
                    old,
                    _scale(str(name), one, old),
                )
            )
    return rows


def is_row_of(row: str, parameters: list[Parameter]) -> bool:
    """Whether a row of the table of `check`, an element named by its coordinates, is of one of the parameters."""
    return row.split("[")[0] in {one.name.split("[")[0] for one in parameters}


def shown(parameters: list[Parameter], most: int = 12) -> list[Parameter]:
    """The sampled parameters that fit on a figure: the first `most`."""
    return [one for one in parameters if not one.derived][:most]


def drawable(draws: xr.DataTree) -> list[Parameter]:
    """The sampled parameters that a figure can show.

    Raises:
        SectionUnavailable: there are none, or their draws are not finite.
    """
    chosen = shown(parameters(draws))
    if not chosen:
        raise SectionUnavailable("The posterior holds no sampled scalar, so that there is nothing to draw.")
    if not all(np.isfinite(one.posterior).all() for one in chosen):
        raise SectionUnavailable(
            "The posterior holds values that are not finite numbers, so that its distributions cannot be drawn."
        )
    return chosen


def _scale(name: str, posterior: np.ndarray, prior: np.ndarray) -> str:
    values = np.concatenate([posterior.ravel(), prior])
    values = values[np.isfinite(values)]
    if name.endswith("fraction") and values.size and values.min() > 0 and values.max() < 1:
        return "logit"
    if values.size and values.min() > 0:
        sample = prior if prior.size > 2 else values
        # a lognormal is skewed until its log is taken, a normal far from 0 the other way round
        if abs(_skewness(np.log(sample))) < abs(_skewness(sample)):
            return "log"
    return "identity"


def _skewness(values: np.ndarray) -> float:
    spread = values.std()
    return float(np.mean(((values - values.mean()) / spread) ** 3)) if spread > 0 else 0.0


def units_html(units: str) -> str:
    """m yr-1 with superscripts; nothing where there is no unit."""
    return "" if units in ("", "1") else re.sub(r"(?<=[A-Za-z])(-?\d+)", r"<sup>\1</sup>", units).replace("-", "\u2212")


def units_text(units: str) -> str:
    """Units in brackets for an axis, as matplotlib's math text; nothing where there is no unit."""
    if units in ("", "1"):
        return ""
    return " [" + re.sub(r"(?<=[A-Za-z])(-?\d+)", r"$^{\1}$", units) + "]"


def plain_name(name: str) -> str:
    """The name of a variable in words: "thickness scale (glacier1)" of `glacier1/thickness_scale`."""
    glacier = name.removesuffix(bare_name(name)).removesuffix(DIVIDER)
    return bare_name(name).replace("_", " ") + (f" ({glacier})" if glacier else "")
