"""Rules that draws are judged by, and the sentences that say which of them are broken and what to do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr

from glacierbayes.draws.importance import Distance
from glacierbayes.draws.views import bare_name, variables

MAX_R_HAT = 1.01  # rank-normalised; Vehtari et al. 2021, doi 10.1214/20-BA1221
R_HAT_WITHOUT_ESTIMATE = 1.05
MIN_ESS = 400.0  # bulk and tail, over all chains; the same paper
MIN_E_BFMI = 0.3  # Betancourt 2016, arXiv 1604.00695
MAX_FAILED_SHARE = 0.005  # of transitions
TAIL = 0.005  # of the prior, on either side: a posterior median out there contradicts it
MIN_PRIOR_DRAWS = 100  # to know the tails
MAX_K_HAT = 0.7  # of an approximation; Yao et al. 2018, arXiv 1802.02538
MAX_SHIFT, MAX_SPREAD = 0.2, 1.2  # of what its weights may change: a mean (in sd), a standard deviation
CHECKED_GROUPS = ("posterior", "sample_stats", "posterior_predictive", "log_likelihood")
ERRORS = ("velocity_discrepancy", "velocity_relative_discrepancy", "velocity_degrees_of_freedom")  # of the velocity
OVERSTATED = (
    "the model meets the velocity better than its stated errors let expect. Are the sigmas too large? Then intervals "
    "are too wide."
)
DRIVEN = (
    "the model meets the data only so, and what it lacks may have gone into this parameter. Do not read it, nor what "
    "is derived from it, as a measurement; its interval is right only if the model is."
)


def missing_numbers(tree: xr.DataTree) -> list[str]:
    """One sentence for every variable that holds NaN or infinite values."""
    problems = []
    for part in CHECKED_GROUPS:
        for name, values in variables(tree, part).items():
            if values.dtype.kind != "f":
                continue
            bad = int((~np.isfinite(values)).sum())
            if bad:
                problems.append(
                    f"{part}/{name} holds values that are not finite numbers ({bad} of {values.size}): a solve that "
                    "failed got into the draws, or the model divides by zero. Mend the model and sample again."
                )
    return problems


def too_far(distance: Distance) -> str:
    """The sentence about an approximation whose distance from the posterior is too large."""
    return (
        f"The approximation is too far from the posterior (Pareto k-hat {distance.k_hat:.2f}, expected below "
        f"{MAX_K_HAT}; its importance weights move means by up to {distance.shift:.2f} standard deviations and "
        f"change those by up to {100 * (distance.spread - 1):.0f} %, {distance.name} most): its intervals are wrong by "
        "as much or more. Fit longer (a larger warmup), or sample with method nuts."
    )


def contradictions(tree: xr.DataTree) -> list[str]:
    """One sentence for every sampled scalar whose posterior median lies in the tails of its prior."""
    prior = variables(tree, "prior")
    problems = []
    for name, values in variables(tree, "posterior").items():
        if name not in prior or values.attrs.get("derived", 0) or values.ndim > 2:
            continue
        before = prior[name].values[np.isfinite(prior[name].values)]
        if before.size < MIN_PRIOR_DRAWS:
            continue
        median, (low, high) = float(np.median(values)), np.quantile(before, (TAIL, 1 - TAIL))
        if median < low or median > high:
            problems.append(
                f"{name} is {median:.3g}, outside the central {100 * (1 - 2 * TAIL):g} % of its prior "
                f"({low:.3g} to {high:.3g}): {OVERSTATED if median < low and bare_name(name) in ERRORS else DRIVEN}"
            )
    return problems


def chain_problems(table: pd.DataFrame, chains: int, draws: int) -> list[str]:
    """What is wrong with the chains, by R-hat and effective sample size.

    Args:
        table: `r_hat`, `ess_bulk` and `ess_tail` by parameter.
        chains, draws: number of chains, and of draws in each.
    """
    problems = []
    if chains < 2:
        problems.append(
            "There is only one chain, so that nothing shows whether it has found the whole posterior. "
            "Run at least two chains, better four."
        )
    else:
        disagreeing = table.index[table["r_hat"].to_numpy() >= MAX_R_HAT]
        if len(disagreeing):
            problems.append(
                f"The chains disagree on {_names(disagreeing)} (R-hat up to {table['r_hat'].max():.3f}, expected below "
                f"{MAX_R_HAT}): they have not all found the same distribution. Sample again with twice the warmup "
                "and more draws; if they still disagree, look at the trace plots for two separate modes."
            )
    used = table[["ess_bulk", "ess_tail"] + (["r_hat"] if chains > 1 else [])]
    unknown = table.index[used.isna().any(axis=1)]
    if len(unknown):
        problems.append(
            f"R-hat and ESS cannot be computed for {_names(unknown)}: the draws are constant, too few, or not numbers. "
            "Take constants out of the posterior, or draw at least 100 times in every chain."
        )
    ess = table[["ess_bulk", "ess_tail"]].to_numpy().min(axis=1)
    # where chains are far apart, no number of draws follows from the ESS
    low = (ess < MIN_ESS) & ~(table["r_hat"].to_numpy() > R_HAT_WITHOUT_ESTIMATE)
    few = table.index[low]
    if len(few):
        least = float(ess[low].min())
        needed = math.ceil(1.2 * draws * MIN_ESS / max(least, 1.0) / 100) * 100
        problems.append(
            f"There are too few independent draws of {_names(few)} (effective sample size down to {least:.0f}, "
            f"expected at least {MIN_ESS:.0f} in bulk and tail): intervals are not yet stable. "
            f"Draw about {needed} times in every chain instead of {draws}."
        )
    return problems


def sampler_problems(
    divergences: int | None,
    failed: int | None,
    e_bfmi: tuple[float, ...],
    transitions: int,
    causes: dict[str, int],
    trajectories: bool = True,
) -> list[str]:
    """What is wrong with the transitions: divergences, E-BFMI and failed solves.

    Args:
        divergences, failed: number of transitions; None where the draws do not hold it.
        e_bfmi: one number for every chain; empty where the draws do not hold it.
        transitions: number of all.
        causes: number of failed solves by their cause in words; empty where the draws do not hold it.
        trajectories: whether the method follows trajectories, which diverge or not and have an energy.
    """
    problems = []
    if divergences is None and trajectories:
        problems.append(
            "The draws do not say whether transitions diverged (sample_stats/diverging is missing). "
            "Sample again with `infer`, which records it."
        )
    elif divergences:
        problems.append(
            f"{divergences} of {transitions} transitions diverged: the sampler could not follow the posterior "
            "everywhere, and a part of it may be missing. Sample again with a longer warmup; if it stays, "
            "tighten the prior of what the data do not see."
        )
    if not e_bfmi and trajectories:
        problems.append(
            "The draws do not hold the sampler's energy (sample_stats/energy is missing). "
            "Sample again with `infer`, which records it."
        )
    # a NaN is low too
    low = [f"{chain}" for chain, value in enumerate(e_bfmi) if not value > MIN_E_BFMI]
    if low:
        problems.append(
            f"The tails of the posterior were explored badly in chain {', '.join(low)} (E-BFMI down to "
            f"{np.nanmin([*e_bfmi, MIN_E_BFMI]):.2f}, expected above {MIN_E_BFMI}): intervals are too narrow. "
            "Sample again with a longer warmup; if it stays, tighten the prior of what the data do not see."
        )
    if failed is None:
        problems.append(
            "The draws do not say how often the equation could not be solved (sample_stats/solver_failed is missing). "
            "Sample again with `infer`, which records it."
        )
    elif failed > MAX_FAILED_SHARE * transitions:
        problems.append(
            f"The equation could not be solved in {failed} of {transitions} transitions "
            f"({100 * failed / transitions:.2g} %, expected at most {100 * MAX_FAILED_SHARE:g} %): the solver's "
            f"limits cut into the posterior{_listed(causes)}. Look for draws of extremely soft ice or fast sliding, "
            "tighten their priors, or take a coarser resolution."
        )
    return problems


def failures_by_cause(tree: xr.DataTree) -> dict[str, int]:
    """Number of transitions by the cause of their failed solve in words; empty where the draws do not hold codes."""
    codes = variables(tree, "sample_stats").get("solver_result")
    if codes is None:
        return {}
    words = json.loads(tree.attrs.get("solver_results", "{}"))
    values, counts = np.unique(codes.values[codes.values != 0].astype(int), return_counts=True)
    return {words.get(str(v), f"code {v}"): int(n) for v, n in zip(values, counts, strict=True)}


def _listed(causes: dict[str, int]) -> str:
    return f" ({', '.join(f'{count} {cause}' for cause, count in causes.items())})" if causes else ""


def _names(names: Iterable, most: int = 4) -> str:
    listed = [str(name) for name in names]
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")
