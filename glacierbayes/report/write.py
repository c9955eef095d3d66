"""The report: a folder with figures, tables and one page that shows them all."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import xarray as xr
from markupsafe import Markup, escape

from glacierbayes.draws.check import Check, check
from glacierbayes.draws.open import open_draws
from glacierbayes.draws.rules import MAX_R_HAT, MIN_ESS
from glacierbayes.draws.views import attributes, bare_name, glacier_views, variables
from glacierbayes.errors import InputError
from glacierbayes.report.fit import fit_statistics
from glacierbayes.report.functions import function_table
from glacierbayes.report.parameters import QUANTILES, Parameter, is_row_of, parameters, plain_name, shown, units_html
from glacierbayes.report.registry import Section, SectionUnavailable, registered_sections
from glacierbayes.report.tables import parameter_table

EFFECTIVE = (
    "The creep parameter of a shallow-ice model is an effective one: the equation knows no drag from the valley's "
    "sides, and the parameter takes it in. Do not compare it with laboratory values, "
    "nor carry it to a model with side drag."
)
PROVENANCE = {
    "model": "model",
    "rgi_id": "RGI id",
    "resolution": "resolution, m",
    "thickness_product": "ice thickness",
    "balance_model": "mass balance model",
    "start_surface": "surface at the start",
    "method": "method",
    "chains": "chains",
    "draws": "draws in each chain",
    "warmup": "warmup in each chain",
    "seed": "seed",
    "sampling_seconds": "sampling, s",
    "cores": "cores",
    "created": "created",
}
BY_GLACIER = ("balance_model", "start_surface")  # that each of several glaciers states for itself


def write_report(draws: xr.DataTree | str | Path, output: str | Path) -> Path:
    """Writes figures (PNG), tables and `index.html` into a new folder, which is returned.

    Tables are `parameters.csv`, `fit.json` and, where a function is unknown, `functions.csv`. The folder appears by
    rename when it is complete. Intervals are equal-tailed and hold 90 %.

    Args:
        draws: the result of `infer`, or the path of its NetCDF file.
        output: the folder to make.

    Raises:
        InputError: `output` exists, or the folder that it is to be in does not; `draws` is missing, unreadable, or no
            posterior.
    """
    output = Path(output)
    if output.exists():
        raise InputError(f"{output}: exists already; name another --output, or remove it")
    parent = output.absolute().parent
    if not parent.is_dir():
        raise InputError(f"{output}: the folder {parent} is not there, expected an existing one; make it first")
    source = draws if isinstance(draws, str | Path) else None
    tree = open_draws(draws)
    working = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=parent))
    try:
        _fill(tree, working, "draws in memory" if source is None else Path(source).name)
        working.chmod(0o755)
        working.rename(output.absolute())
    finally:
        shutil.rmtree(working, ignore_errors=True)  # gone already where all went well
    return output


def _fill(draws: xr.DataTree, folder: Path, source: str) -> None:
    """Writes every file of the report into a folder that is there."""
    trust, rows = check(draws), parameters(draws)
    parameter_table(draws, rows, trust).to_csv(folder / "parameters.csv")
    functions = function_table(draws, trust)
    if len(functions):
        functions.to_csv(folder / "functions.csv", index=False)
    statistics = fit_statistics(draws)
    # JSON knows no NaN
    strict = json.loads(json.dumps(statistics), parse_constant=lambda _: None)
    (folder / "fit.json").write_text(json.dumps(strict, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    views = glacier_views(draws)
    page = (
        _environment()
        .get_template("template.html.jinja")
        .render(
            title=f"Ice flow of {draws.attrs.get('rgi_id') or 'a glacier without an RGI id'}",
            model=draws.attrs.get("model") or "not named",
            source=source,
            trust={"summary_html": Markup(trust.summary_html)},  # made by a template that escapes
            fits=[_fit(name, view, statistics[name] if name else statistics) for name, view in views.items()],
            parameters=_rows(rows, trust),
            sections=[_section(section, draws, views, folder) for section in registered_sections()],
            sampled=sum(not one.derived for one in rows),
            drawn=len(shown(rows)),
            notes=_notes(draws),
            provenance=_provenance(draws),
        )
    )
    (folder / "index.html").write_text(page + "\n", encoding="utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "fixed": _fixed,
        "significant": _significant,
        "units": lambda units: Markup(units_html(str(escape(units)))),
        "words": plain_name,
    }
    return environment


def _label(name: str, view: xr.DataTree) -> str:
    """The heading of one of several glaciers; empty where there is one."""
    return f"{name} {view.attrs.get('rgi_id', '')}".strip() if name else ""


def _fit(name: str, view: xr.DataTree, statistics: dict) -> dict[str, Any]:
    """The statistics of one glacier, those of velocity and geodetic balance apart from all others."""
    others = {plain_name(kind): values for kind, values in statistics.items() if isinstance(values, dict)}
    return {"label": _label(name, view), "fit": statistics, "others": others}


def _section(section: Section, draws: xr.DataTree, views: dict[str, xr.DataTree], folder: Path) -> dict[str, Any]:
    """Draws a section, once or for every glacier, and returns what the page shows of it."""
    of = views if section.by_glacier else {"": draws}
    parts = [_part(section, name, view, folder) for name, view in of.items()]
    return {"title": section.title, "caption": section.caption, "parts": [part for part in parts if part is not None]}


def _part(section: Section, glacier: str, draws: xr.DataTree, folder: Path) -> dict[str, Any] | None:
    """One figure or table of a section as the page shows it; None where the section does not apply."""
    import matplotlib

    from glacierbayes.report.style import STYLE

    part: dict[str, Any] = {"label": _label(glacier, draws), "image": None, "table": None, "unavailable": None}
    file = f"{glacier}_{section.name}" if glacier else section.name
    try:
        with matplotlib.rc_context(STYLE):
            drawn = section.draw(draws)
            if drawn is None:
                return None
            if isinstance(drawn, pd.DataFrame):
                drawn.to_csv(folder / f"{file}.csv")
                return part | {"table": Markup(drawn.to_html(border=0))}  # pandas escapes
            drawn.savefig(folder / f"{file}.png")
    except SectionUnavailable as reason:
        return part | {"unavailable": str(reason)}
    return part | {"image": f"{file}.png"}


def _rows(parameters: list[Parameter], trust: Check) -> list[dict[str, Any]]:
    """The table of the parameters, a row for each."""
    rows = []
    judged = [row for row in trust.rows if is_row_of(row[0], parameters)]
    for one, (name, *texts, _) in zip(parameters, judged, strict=True):
        numbers = trust.table.loc[name]
        good = (numbers["r_hat"] < MAX_R_HAT, numbers["ess_bulk"] >= MIN_ESS, numbers["ess_tail"] >= MIN_ESS)
        rows.append(
            {
                "name": plain_name(one.name),
                "long_name": one.long_name,
                "units": one.units,
                "derived": one.derived,
                "posterior": _interval(one.posterior),
                "prior": _interval(one.prior),
                "contraction": one.contraction,
                "learnt": one.learnt,
                "diagnostics": list(zip(texts, good, strict=True)),
            }
        )
    return rows


def _notes(draws: xr.DataTree) -> list[str]:
    notes = [EFFECTIVE] if any(bare_name(name) == "creep_parameter" for name in variables(draws, "posterior")) else []
    return notes + [str(note) for note in json.loads(draws.attrs.get("notes", "[]"))]


def _provenance(draws: xr.DataTree) -> list[tuple[str, str, bool]]:
    """Label, value, and whether the value is a hash, of everything that says where the draws come from."""
    rows = []
    for name, label in PROVENANCE.items():
        stated = attributes(draws, name) if name in BY_GLACIER else {"": draws.attrs.get(name, "")}
        rows += [
            (f"{label} ({glacier})" if glacier else label, str(value), False)
            for glacier, value in stated.items()
            if str(value)
        ]
    for name in ("options", "versions"):
        pairs = json.loads(draws.attrs.get(name, "{}")).items()
        if pairs:
            rows.append((name, ", ".join(f"{key} {value}" for key, value in pairs), False))
    files = json.loads(draws.attrs.get("data_files", "[]"))
    return rows + [(Path(str(name)).name, str(digest), True) for name, digest in files]


def _interval(values: np.ndarray) -> tuple[float, float, float] | None:
    """Lower end, median and upper end; None where the values are not all finite."""
    if not values.size or not np.isfinite(values).all():
        return None
    lower, median, upper = np.quantile(values, (QUANTILES[0], 0.5, QUANTILES[1]))
    return float(lower), float(median), float(upper)


def _significant(value: float) -> Markup:
    """Three digits; powers of ten with a superscript."""
    text = f"{value:.0f}" if 1000 <= abs(value) < 1e5 else f"{value:#.3g}".removesuffix(".")
    mantissa, _, power = text.partition("e")
    if power:
        text = f"{mantissa}\u00b710<sup>{int(power)}</sup>"
    return Markup(text.replace("-", "\u2212"))


def _fixed(value: float, digits: int) -> str:
    """A number with so many digits after the point; a dash where it is not finite."""
    return f"{value:.{digits}f}".replace("-", "\u2212") if np.isfinite(value) else "-"
