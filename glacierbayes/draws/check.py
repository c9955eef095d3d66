"""`check`: can these draws be trusted?"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glacierbayes.draws.importance import Distance, distance
from glacierbayes.draws.open import open_draws
from glacierbayes.draws.rules import (
    MAX_FAILED_SHARE,
    MAX_K_HAT,
    MAX_R_HAT,
    MAX_SHIFT,
    MAX_SPREAD,
    MIN_E_BFMI,
    MIN_ESS,
    chain_problems,
    contradictions,
    failures_by_cause,
    missing_numbers,
    sampler_problems,
    too_far,
)
from glacierbayes.draws.views import glacier_trees, group, variables

DIAGNOSTICS = ("r_hat", "ess_bulk", "ess_tail")


@dataclass(frozen=True)
class Check:
    """The answer of `check`.

    Attributes:
        table: one row for every parameter (every element of an array is a row), columns `r_hat` (rank-normalised),
            `ess_bulk`, `ess_tail` [1] and `ok`. NaN where a number does not apply.
        problems: one sentence for everything that is wrong, and what to do about it.
        remarks: what does not count against the draws, but must be known to who reads them.
        method: how the draws were made.
        chains, draws: number of chains, and of draws in each.
        divergences: number of divergent transitions; None where the draws do not hold it.
        failed_solves: number of transitions in which a solve failed; None where the draws do not hold it.
        e_bfmi: one number for every chain; empty where the draws do not hold it.
        distance: of an approximation ("svi") from the posterior; None for Markov chains.
        failures: number of failed solves by their cause in words; empty where the draws do not hold it.
    """

    table: pd.DataFrame
    problems: list[str]
    remarks: list[str]
    method: str
    chains: int
    draws: int
    divergences: int | None
    failed_solves: int | None
    e_bfmi: tuple[float, ...]
    distance: Distance | None = None
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the draws can be trusted."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """One line that says whether the draws can be trusted."""
        if self.ok:
            return "These draws can be trusted."
        count = len(self.problems)
        return f"These draws are NOT to be trusted: {count} problem{'' if count == 1 else 's'}."

    @property
    def sampler(self) -> list[tuple[str, str, str]]:
        """What concerns the run as a whole: name, value and expectation of every number, as text."""
        transitions = self.chains * self.draws
        share = "not recorded"
        if self.failed_solves is not None:
            share = f"{self.failed_solves} of {transitions} ({100 * self.failed_solves / transitions:.2g} %)"
        failed = [("failed solves", share, f"at most {100 * MAX_FAILED_SHARE:g} %")]
        failed += [(f"- {cause}", str(count), "") for cause, count in self.failures.items()]
        if self.distance is not None:
            k_hat, shift, spread, name = self.distance
            return [
                ("draws", f"{self.draws} ({self.method})", "an approximation, near the posterior"),
                ("Pareto k-hat", f"{k_hat:.2f}", f"below {MAX_K_HAT}"),
                ("largest shift", f"{shift:.2f} sd ({name})", f"below {MAX_SHIFT} sd"),
                ("sd off by", f"{100 * (spread - 1):.0f} %", f"below {100 * (MAX_SPREAD - 1):.0f} %"),
                *failed,
            ]
        energies = ", ".join(f"{value:.2f}" for value in self.e_bfmi) or "not recorded"
        return [
            ("draws", f"{self.chains} x {self.draws} ({self.method})", "at least 2 chains"),
            ("divergences", "not recorded" if self.divergences is None else str(self.divergences), "none"),
            ("E-BFMI by chain", energies, f"above {MIN_E_BFMI}"),
            *failed,
        ]

    @property
    def rows(self) -> list[tuple[str, str, str, str, bool]]:
        """The table as text: name, R-hat, bulk ESS, tail ESS, and whether they are as expected."""
        columns = (self.table[column] for column in (*DIAGNOSTICS, "ok"))
        return [
            (str(name), _number(r_hat, ".4f"), _number(bulk, ".0f"), _number(tail, ".0f"), bool(ok))
            for name, r_hat, bulk, tail, ok in zip(self.table.index, *columns, strict=True)
        ]

    @property
    def summary_html(self) -> str:
        """The verdict, the problems and the numbers of the run as HTML, without the table of parameters."""
        return _templates().summary(self)

    def __str__(self) -> str:
        width = max([len("parameter"), *(len(row[0]) for row in self.rows)])
        lines = [f"{'parameter':<{width}}   R-hat  bulk ESS  tail ESS"]
        lines += [
            f"{name:<{width}}  {r_hat:>6}  {bulk:>8}  {tail:>8}{'' if ok else '  <-'}"
            for name, r_hat, bulk, tail, ok in self.rows
        ]
        lines += [f"expected: R-hat below {MAX_R_HAT}, ESS at least {MIN_ESS:.0f}", ""]
        lines += [
            f"{name + ':':<17}{value}{f'   (expected: {rule})' if rule else ''}" for name, value, rule in self.sampler
        ]
        lines += ["", self.verdict, *(f"- {text}" for text in self.problems + self.remarks)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.summary_html + _templates().parameters(self)


@cache
def _templates() -> Any:
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=loader, autoescape=True).get_template("check.html.jinja").module


def check(draws: xr.DataTree | str | Path) -> Check:
    """Judges whether draws can be trusted.

    Rules for Markov chains: rank-normalised R-hat below 1.01, bulk and tail ESS at least 400 for every posterior scalar
    (of an unknown function: its values, not its weights), no divergences,
    E-BFMI above 0.3 in every chain, at most 0.5 % of transitions with a failed solve, at least two chains, no NaN.

    A parameter whose posterior median lies in the outermost 0.5 % of its prior is remarked on, and does not count
    against the draws: they are right about a model that the data and the prior do not agree on.

    Draws of an approximation ("svi") are judged by their importance weights: Pareto k-hat below 0.7, no mean moved by
    0.2 standard deviations, no standard deviation changed by a fifth.

    Args:
        draws: the result of `infer`, or the path of its NetCDF file. `attrs["markov_chain"]` says whether they are
            Markov chains; draws of `infer` that do not say so are, except by method "svi".

    Raises:
        InputError: the file is missing, unreadable, or holds no posterior with dimensions (chain, draw).
    """
    tree = open_draws(draws)
    posterior = variables(tree, "posterior")
    first = next(iter(posterior.values()))
    chains, count = first.sizes["chain"], first.sizes["draw"]
    method = str(tree.attrs.get("method", "nuts"))
    problems = missing_numbers(tree)
    # earlier files do not say it
    applies = bool(tree.attrs.get("markov_chain", method != "svi"))
    table = _diagnostics(tree)
    if not applies:
        table[:] = np.nan
    if chains < 2:
        table["r_hat"] = np.nan
    table["ok"] = (table["r_hat"] < MAX_R_HAT) & (table["ess_bulk"] >= MIN_ESS) & (table["ess_tail"] >= MIN_ESS)
    stats, e_bfmi = group(tree, "sample_stats"), _e_bfmi(tree)
    divergences = int(stats["diverging"].sum()) if "diverging" in stats else None
    failed = int(stats["solver_failed"].sum()) if "solver_failed" in stats else None
    failures = failures_by_cause(tree)
    approximation = None
    if not applies and "log_weight" in stats and not problems:
        judged = {name: values for name, values in posterior.items() if not values.attrs.get("weights", 0)}
        approximation = distance(judged, stats["log_weight"])
        close = (
            approximation.k_hat < MAX_K_HAT and approximation.shift < MAX_SHIFT and approximation.spread < MAX_SPREAD
        )
        table["ok"] = close
        problems += [] if close else [too_far(approximation)]
    elif applies:
        problems += chain_problems(table, chains, count)
        trajectories = bool(tree.attrs.get("trajectories", True))
        problems += sampler_problems(divergences, failed, e_bfmi, chains * count, failures, trajectories)
    else:
        problems.append(
            f"These draws were made by {method}, which is no Markov chain: R-hat and ESS do not apply, and nothing "
            "here says how far the approximation is from the posterior. Compare with a run of method nuts."
        )
    return Check(
        table,
        problems,
        contradictions(tree),
        method,
        chains,
        count,
        divergences,
        failed,
        e_bfmi,
        approximation,
        failures,
    )


def _diagnostics(tree: xr.DataTree) -> pd.DataFrame:
    """R-hat, bulk and tail ESS of every posterior scalar; those of a glacier have its name and a slash in front.

    Weights of an unknown function are left out. Those of a network may swap their places from chain to chain, so that
    the values of the function are judged instead.
    """
    import arviz as az

    parts = []
    for prefix, part in {"": tree, **{f"{name}/": own for name, own in glacier_trees(tree).items()}}.items():
        judged = [str(n) for n, v in group(part, "posterior").data_vars.items() if not v.attrs.get("weights", 0)]
        if not judged:
            continue
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # NaN and constants make ArviZ divide by nothing; both are reported as problems
            warnings.simplefilter("ignore")
            summary = az.summary(part, var_names=judged, group="posterior", kind="diagnostics", round_to="none")
        table = pd.DataFrame({name: pd.DataFrame(summary)[name].astype(float) for name in DIAGNOSTICS})
        parts.append(table.rename(index=lambda name, prefix=prefix: f"{prefix}{name}"))
    return pd.concat(parts)


def _e_bfmi(tree: xr.DataTree) -> tuple[float, ...]:
    """E-BFMI of every chain; empty where the draws hold no energy."""
    import arviz as az

    stats = group(tree, "sample_stats")
    if "energy" not in stats:
        return ()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        bfmi = az.bfmi(xr.DataTree.from_dict({"sample_stats": stats}))
    return tuple(float(value) for value in np.atleast_1d(bfmi["energy"].values))


def _number(value: float, fmt: str) -> str:
    return format(value, fmt) if np.isfinite(value) else "-"
