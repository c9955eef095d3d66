"""Can these draws be trusted? R-hat, effective sample size, divergences, E-BFMI and failed solves in one answer."""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from glacierbayes.draws.importance import Distance, distance
from glacierbayes.errors import InputError

LARGEST_R_HAT = 1.01  # rank-normalised; Vehtari et al. 2021, doi 10.1214/20-BA1221
FAR_APART = 1.05
LEAST_ESS = 400.0  # bulk and tail, over all chains; the same paper
LEAST_E_BFMI = 0.3  # Betancourt 2016, arXiv 1604.00695
LARGEST_FAILED_SHARE = 0.005  # of transitions
TAIL = 0.005  # of the prior, on either side: a posterior median out there contradicts it
LEAST_PRIOR_DRAWS = 100  # to know the tails
LARGEST_K_HAT = 0.7  # of an approximation; Yao et al. 2018, arXiv 1802.02538
LARGEST_SHIFT, LARGEST_SPREAD = 0.2, 1.2  # of what its weights may change: a mean (in sd), a standard deviation
CHAIN_METHODS = ("nuts",)  # methods whose draws are Markov chains, so that R-hat means something
CHECKED_GROUPS = ("posterior", "sample_stats", "posterior_predictive", "log_likelihood")


@dataclass(frozen=True)
class Check:
    """The answer of `check`.

    Attributes:
        table: one row a parameter (an element of an array is a row of its own), columns `r_hat` (rank-normalised),
            `ess_bulk`, `ess_tail` [1] and `ok`. NaN where a number does not apply.
        problems: one sentence for everything that is wrong, and what to do about it.
        remarks: what the draws say well enough, but a reader must not take at its word.
        method: how the draws were made.
        chains, draws: number of chains, and of draws in each.
        divergences: number of divergent transitions; None where the draws do not say.
        failed_solves: number of transitions in which a solve failed; None where the draws do not say.
        e_bfmi: one number a chain; empty where the draws do not say.
        distance: of an approximation ("svi") from the posterior.
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

    @property
    def ok(self) -> bool:
        """Whether the draws can be trusted."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The answer in one line."""
        if self.ok:
            return "These draws can be trusted."
        count = len(self.problems)
        return f"These draws are NOT to be trusted: {count} problem{'' if count == 1 else 's'}."

    @property
    def sampler(self) -> list[tuple[str, str, str]]:
        """What concerns the run as a whole, as (name, value, what is expected)."""
        transitions = self.chains * self.draws
        share = "not recorded"
        if self.failed_solves is not None:
            share = f"{self.failed_solves} of {transitions} ({100 * self.failed_solves / transitions:.2g} %)"
        if self.distance is not None:
            k_hat, shift, spread, name = self.distance
            return [
                ("draws", f"{self.draws} ({self.method})", "an approximation, near the posterior"),
                ("Pareto k-hat", f"{k_hat:.2f}", f"below {LARGEST_K_HAT}"),
                ("largest shift", f"{shift:.2f} sd ({name})", f"below {LARGEST_SHIFT} sd"),
                ("sd off by", f"{100 * (spread - 1):.0f} %", f"below {100 * (LARGEST_SPREAD - 1):.0f} %"),
                ("failed solves", share, f"at most {100 * LARGEST_FAILED_SHARE:g} %"),
            ]
        return [
            ("draws", f"{self.chains} x {self.draws} ({self.method})", "at least 2 chains"),
            ("divergences", "not recorded" if self.divergences is None else str(self.divergences), "none"),
            (
                "E-BFMI by chain",
                ", ".join(f"{value:.2f}" for value in self.e_bfmi) or "not recorded",
                f"above {LEAST_E_BFMI}",
            ),
            ("failed solves", share, f"at most {100 * LARGEST_FAILED_SHARE:g} %"),
        ]

    @property
    def rows(self) -> list[tuple[str, str, str, str, bool]]:
        """The table as people read it: name, R-hat, bulk ESS, tail ESS, ok."""
        return [
            (str(name), _number(r_hat, ".4f"), _number(bulk, ".0f"), _number(tail, ".0f"), bool(ok))
            for name, r_hat, bulk, tail, ok in zip(
                self.table.index,
                *(self.table[column] for column in ("r_hat", "ess_bulk", "ess_tail", "ok")),
                strict=True,
            )
        ]

    def __str__(self) -> str:
        width = max([len("parameter"), *(len(row[0]) for row in self.rows)])
        lines = [f"{'parameter':<{width}}   R-hat  bulk ESS  tail ESS"]
        lines += [
            f"{name:<{width}}  {r_hat:>6}  {bulk:>8}  {tail:>8}{'' if ok else '  <-'}"
            for name, r_hat, bulk, tail, ok in self.rows
        ]
        lines += [f"expected: R-hat below {LARGEST_R_HAT}, ESS at least {LEAST_ESS:.0f}", ""]
        lines += [f"{name + ':':<17}{value}   (expected: {rule})" for name, value, rule in self.sampler]
        lines += ["", self.verdict, *(f"- {text}" for text in self.problems + self.remarks)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{r_hat}</td><td>{bulk}</td><td>{tail}</td>"
            f"<td>{'yes' if ok else '<b>no</b>'}</td></tr>"
            for name, r_hat, bulk, tail, ok in self.rows
        )
        sampler = "".join(
            f"<tr><td>{name}</td><td>{html.escape(value)}</td><td>{rule}</td></tr>"
            for name, value, rule in self.sampler
        )
        problems = "".join(f"<li>{html.escape(text)}</li>" for text in self.problems + self.remarks)
        return (
            f"<p><b>{self.verdict}</b></p>"
            + (f"<ul>{problems}</ul>" if problems else "")
            + f"<table><tr><th>run</th><th></th><th>expected</th></tr>{sampler}</table>"
            + "<table><tr><th>parameter</th><th>R-hat</th><th>bulk ESS</th><th>tail ESS</th><th>ok</th></tr>"
            + f"{rows}</table>"
        )


def check(draws: xr.DataTree | str | Path) -> Check:
    """Judge whether draws can be trusted.

    Rules for Markov chains: rank-normalised R-hat below 1.01, bulk and tail ESS at least 400 for every posterior scalar
    (of an unknown function: its values, not its weights), no divergences,
    E-BFMI above 0.3 in every chain, at most 0.5 % of transitions with a failed solve, at least two chains, no NaN.

    A parameter whose posterior median lies in the outermost 0.5 % of its prior is remarked on, and does not count
    against the draws: they are right about a model that the data and the prior do not agree on.

    Draws of an approximation ("svi") are judged by their importance weights: Pareto k-hat below 0.7, no mean moved by
    0.2 standard deviations, no standard deviation changed by a fifth.

    Args:
        draws: the result of `infer`, or the path of its NetCDF file. `attrs["method"]` says how the draws were made;
            draws without it are taken for Markov chains.

    Raises:
        InputError: the file is missing, unreadable, or holds no posterior with dimensions (chain, draw).
    """
    import arviz as az

    tree = open_draws(draws)
    chains, count = tree["posterior"].sizes["chain"], tree["posterior"].sizes["draw"]
    method = str(tree.attrs.get("method", "nuts"))
    problems = _missing_numbers(tree)
    applies = method in CHAIN_METHODS
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # NaN and constants make ArviZ divide by nothing; both are reported here as problems
        warnings.simplefilter("ignore")
        # weights of a network may swap places: what they make of the inputs is judged instead
        judged = [str(n) for n, values in tree["posterior"].data_vars.items() if not values.attrs.get("weights", 0)]
        summary = az.summary(tree, var_names=judged, group="posterior", kind="diagnostics", round_to="none")
        summary = pd.DataFrame(summary)
        table = pd.DataFrame({name: summary[name].astype(float) for name in ("r_hat", "ess_bulk", "ess_tail")})
        if not applies:
            table[:] = np.nan
        stats = group(tree, "sample_stats")
        e_bfmi: tuple[float, ...] = ()
        if "energy" in stats:
            e_bfmi = tuple(float(value) for value in np.atleast_1d(az.bfmi(tree)["energy"].values))
    if chains < 2:
        table["r_hat"] = np.nan
    table["ok"] = (table["r_hat"] < LARGEST_R_HAT) & (table["ess_bulk"] >= LEAST_ESS) & (table["ess_tail"] >= LEAST_ESS)
    divergences = int(stats["diverging"].sum()) if "diverging" in stats else None
    failed = int(stats["solver_failed"].sum()) if "solver_failed" in stats else None
    apart = None
    if not applies and "log_weight" in stats and not problems:
        apart = distance(group(tree, "posterior"), stats["log_weight"], judged)
        near = apart.k_hat < LARGEST_K_HAT and apart.shift < LARGEST_SHIFT and apart.spread < LARGEST_SPREAD
        table["ok"] = near
        problems += [] if near else [_too_far(apart)]
    elif applies:
        problems += _chain_problems(table, chains, count)
        problems += _sampler_problems(divergences, failed, e_bfmi, chains * count)
    else:
        problems.append(
            f"These draws were made by {method}, which is no Markov chain: R-hat and ESS do not apply, and nothing "
            "here says how far the approximation is from the posterior. Compare with a run of method nuts."
        )
    return Check(table, problems, _contradictions(tree), method, chains, count, divergences, failed, e_bfmi, apart)


def _too_far(apart: Distance) -> str:
    return (
        f"The approximation is too far from the posterior (Pareto k-hat {apart.k_hat:.2f}, expected below "
        f"{LARGEST_K_HAT}; its importance weights move means by up to {apart.shift:.2f} standard deviations and change "
        f"those by up to {100 * (apart.spread - 1):.0f} %, {apart.name} most): its intervals are wrong by as much or "
        "more. Fit longer (a larger warmup), or sample with method nuts."
    )


def open_draws(draws: xr.DataTree | str | Path) -> xr.DataTree:
    """The draws in memory, from a tree or from a NetCDF file (which is closed again).

    Raises:
        InputError: the file is missing, unreadable, or holds no posterior with dimensions (chain, draw).
    """
    if isinstance(draws, xr.DataTree):
        name, tree = "draws", draws
    else:
        path = Path(draws)
        name, tree = str(path), _read(path)
    if "posterior" not in tree.children:
        groups = ", ".join(tree.children) or "none"
        raise InputError(
            f"{name}: no group 'posterior' (groups: {groups}), expected the draws that `infer` writes; "
            "give the file named by its --output"
        )
    posterior = group(tree, "posterior")
    odd = [str(key) for key, values in posterior.data_vars.items() if not {"chain", "draw"} <= set(values.dims)]
    if odd or not posterior.data_vars or 0 in posterior.sizes.values():
        what = f"posterior/{odd[0]} has dimensions {posterior[odd[0]].dims}" if odd else "posterior holds no draws"
        raise InputError(
            f"{name}: {what}, expected variables with dimensions (chain, draw); give the file that `infer` wrote"
        )
    return tree


def group(draws: xr.DataTree, name: str) -> xr.Dataset:
    """A group of the draws as a Dataset; an empty one where it is not there."""
    return draws[name].to_dataset() if name in draws.children else xr.Dataset()


def _read(path: Path) -> xr.DataTree:
    if not path.is_file():
        parts = path.with_name(path.name + ".parts")
        mend = "run `infer` again with --resume to finish it" if parts.is_dir() else "give the file that `infer` wrote"
        raise InputError(f"{path}: no such file, expected draws in NetCDF; {mend}")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            return tree.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: cannot be read as NetCDF-4 ({reason});\n"
            "expected the draws that `infer` writes; copy or make it again"
        ) from error


def _missing_numbers(tree: xr.DataTree) -> list[str]:
    found = []
    for part in CHECKED_GROUPS:
        for name, values in group(tree, part).data_vars.items():
            if values.dtype.kind != "f":
                continue
            bad = int((~np.isfinite(values)).sum())
            if bad:
                found.append(
                    f"{part}/{name} holds values that are not finite numbers ({bad} of {values.size}): a solve that "
                    "failed got into the draws, or the model divides by zero. Mend the model and sample again."
                )
    return found


ERRORS = ("velocity_discrepancy", "velocity_relative_discrepancy", "velocity_degrees_of_freedom")  # of the velocity
OVERSTATED = (
    "the model meets the velocity better than its stated errors let expect. Are the sigmas too large? Then intervals "
    "are too wide."
)
DRIVEN = (
    "the model meets the data only so, and what it lacks may have gone into this parameter. Do not read it, nor what "
    "is derived from it, as a measurement; its interval is right only if the model is."
)


def _contradictions(tree: xr.DataTree) -> list[str]:
    """Sampled scalars that the data have driven out of their prior."""
    posterior, prior = group(tree, "posterior"), group(tree, "prior")
    found = []
    for name, values in posterior.data_vars.items():
        if name not in prior or values.attrs.get("derived", 0) or values.ndim > 2:
            continue
        before = prior[name].values[np.isfinite(prior[name].values)]
        if before.size < LEAST_PRIOR_DRAWS:
            continue
        median, (low, high) = float(np.median(values)), np.quantile(before, (TAIL, 1 - TAIL))
        if median < low or median > high:
            found.append(
                f"{name} is {median:.3g}, outside the central {100 * (1 - 2 * TAIL):g} % of its prior "
                f"({low:.3g} to {high:.3g}): {OVERSTATED if median < low and str(name).endswith(ERRORS) else DRIVEN}"
            )
    return found


def _chain_problems(table: pd.DataFrame, chains: int, draws: int) -> list[str]:
    problems = []
    if chains < 2:
        problems.append(
            "There is only one chain, so that nothing shows whether it has found the whole posterior. "
            "Run at least two chains, better four."
        )
    else:
        apart = table.index[table["r_hat"].to_numpy() >= LARGEST_R_HAT]
        if len(apart):
            problems.append(
                f"The chains disagree on {_names(apart)} (R-hat up to {table['r_hat'].max():.3f}, expected below "
                f"{LARGEST_R_HAT}): they have not all found the same distribution. Sample again with twice the warmup "
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
    low = (ess < LEAST_ESS) & ~(table["r_hat"].to_numpy() > FAR_APART)
    few = table.index[low]
    if len(few):
        least = float(ess[low].min())
        needed = math.ceil(1.2 * draws * LEAST_ESS / max(least, 1.0) / 100) * 100
        problems.append(
            f"There are too few independent draws of {_names(few)} (effective sample size down to {least:.0f}, "
            f"expected at least {LEAST_ESS:.0f} in bulk and tail): intervals are not yet stable. "
            f"Draw about {needed} times in every chain instead of {draws}."
        )
    return problems


def _sampler_problems(
    divergences: int | None, failed: int | None, e_bfmi: tuple[float, ...], transitions: int
) -> list[str]:
    problems = []
    if divergences is None:
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
    if not e_bfmi:
        problems.append(
            "The draws do not hold the sampler's energy (sample_stats/energy is missing). "
            "Sample again with `infer`, which records it."
        )
    # a NaN is low too
    low = [f"{chain}" for chain, value in enumerate(e_bfmi) if not value > LEAST_E_BFMI]
    if low:
        problems.append(
            f"The tails of the posterior were explored badly in chain {', '.join(low)} (E-BFMI down to "
            f"{np.nanmin([*e_bfmi, LEAST_E_BFMI]):.2f}, expected above {LEAST_E_BFMI}): intervals are too narrow. "
            "Sample again with a longer warmup; if it stays, tighten the prior of what the data do not see."
        )
    if failed is None:
        problems.append(
            "The draws do not say how often the equation could not be solved (sample_stats/solver_failed is missing). "
            "Sample again with `infer`, which records it."
        )
    elif failed > LARGEST_FAILED_SHARE * transitions:
        problems.append(
            f"The equation could not be solved in {failed} of {transitions} transitions "
            f"({100 * failed / transitions:.2g} %, expected at most {100 * LARGEST_FAILED_SHARE:g} %): the solver's "
            "limits cut into the posterior. Look for draws of extremely soft ice or fast sliding, tighten their "
            "priors, or take a coarser resolution."
        )
    return problems


def _names(names: Iterable, most: int = 4) -> str:
    listed = [str(name) for name in names]
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")


def _number(value: float, fmt: str) -> str:
    return format(value, fmt) if np.isfinite(value) else "-"
