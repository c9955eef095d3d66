"""The report: a folder with figures, a table and one page that shows them all."""

from __future__ import annotations

import html
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from glacierbayes.draws.check import LARGEST_R_HAT, LEAST_ESS, Check, check, group, open_draws
from glacierbayes.errors import InputError
from glacierbayes.report.functions import function_table
from glacierbayes.report.glaciers import glacier_views
from glacierbayes.report.parameters import LeftOut, Parameter, belongs, parameters, plain_name, shown, units_html
from glacierbayes.report.tables import fit_statistics, parameter_table

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


@dataclass(frozen=True)
class _Section:
    """A heading, the figure's function and file, and what the reader should look for."""

    title: str
    figure: str
    caption: str
    by_glacier: bool = False


SECTIONS = (
    _Section(
        "Surface speed",
        "speed_maps",
        "Block means on the glacier's outline, on one colour scale; arrows show the direction alone. Grey ice belongs "
        "to no block. Right: red where the model is too fast.",
        by_glacier=True,
    ),
    _Section(
        "Speed, block by block",
        "speed_scatter",
        "Points are posterior medians; bars hold 90 % of what the model, with its errors, expects the satellite to "
        "see. About nine of ten bars should cross the line.",
        by_glacier=True,
    ),
    _Section(
        "Mass change",
        "mass_change",
        "Geodetic balance over the outline as the model has it before and after the data (curves scaled to one "
        "height), and the observation with its published standard error.",
        by_glacier=True,
    ),
    _Section(
        "Prior and posterior",
        "prior_and_posterior",
        "Contraction is 1 \u2212 sd(posterior) / sd(prior) on the scale that was sampled: 1 means that the data said "
        "everything, 0 that they said nothing.",
    ),
    _Section(
        "Creep, sliding and thickness",
        "flow_pairs",
        "Fast flow can be soft ice, a slippery bed or thick ice. A correlation near \u00b11 means that the data fix "
        "the combination and not the parts.",
        by_glacier=True,
    ),
    _Section(
        "Unknown functions",
        "unknown_functions",
        "Where the band is as wide as the prior's, the data say nothing: a contraction near 0, on maps a ratio near 1. "
        "Dots and grey bars are cells of the glacier, ticks are glaciers: where there are none, the prior speaks. "
        "A factor of 1 is the law without the function. Unrounded numbers: "
        '<a href="functions.csv">functions.csv</a>.',
    ),
    _Section(
        "Traces and ranks",
        "trace_and_rank",
        "Chains that found the same posterior look alike, wander fast and hold every rank equally often.",
    ),
)

CSS = """
body { font: 16px/1.5 Georgia, "Times New Roman", serif; color: #1a1a1a;
       max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, table, figcaption, .verdict { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.7rem; margin-bottom: 0.2rem; }
h3 { font: 600 1rem system-ui, sans-serif; margin: 1.2rem 0 0; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
.lead { color: #555; margin-top: 0; }
.verdict { border-left: 6px solid #009e73; background: #eef7f3; padding: 0.7rem 1rem; }
.verdict.bad { border-color: #d55e00; background: #fdf1e8; }
.verdict p { margin: 0; font-weight: 600; }
figure { margin: 1rem 0; break-inside: avoid; }
img { max-width: 100%; max-height: 58rem; }
figcaption { font-size: 0.85rem; color: #444; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.82rem; font-variant-numeric: tabular-nums; margin: 0.8rem 0; }
th, td { padding: 0.25rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
tr.derived td { background: #f3f5f7; }
td.bad { color: #b34700; font-weight: 700; }
td small { color: #666; display: block; }
sup { line-height: 0; }
.number { white-space: nowrap; }
tbody td:first-child:has(small) { min-width: 10rem; }
.said { min-width: 6rem; }
.left-out { color: #555; font-style: italic; }
code { font-size: 0.8rem; overflow-wrap: anywhere; }
@media print {
  @page { margin: 15mm; }
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
  img { max-height: 230mm; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.2rem 0.3rem; }
  tbody td:first-child:has(small), .said { min-width: 0; }
}
"""


def write_report(draws: xr.DataTree | str | Path, output: str | Path) -> Path:
    """Write figures (PNG), tables and `index.html` into a new folder, which is returned.

    Tables are `parameters.csv`, `fit.json` and, where a function is unknown, `functions.csv`. The folder appears by
    rename when it is complete. Intervals are equal-tailed and hold 90 %.

    Args:
        draws: the result of `infer`, or the path of its NetCDF file.
        output: the folder to make.

    Raises:
        InputError: `output` exists, or the folder it belongs in does not; `draws` is missing, unreadable, or no
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
    trust, found = check(draws), parameters(draws)
    table = parameter_table(draws, found, trust)
    table.to_csv(folder / "parameters.csv")
    functions = function_table(draws, trust)
    if len(functions):
        functions.to_csv(folder / "functions.csv", index=False)
    statistics = fit_statistics(draws)
    # JSON knows no NaN
    strict = json.loads(json.dumps(statistics), parse_constant=lambda _: None)
    (folder / "fit.json").write_text(json.dumps(strict, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    views = glacier_views(draws)
    parts = [_head(draws, source), _trust(trust), "<h2>Model and observations</h2>"]
    parts += [_label(name, view) + _fit(statistics[name] if name else statistics) for name, view in views.items()]
    parts.append(_table(found, trust))
    for section in SECTIONS:
        parts.append(f"<h2>{section.title}</h2>")
        of = views if section.by_glacier else {"": draws}
        parts += [_label(name, view) + _section(section, name, view, folder) for name, view in of.items()]
    sampled = sum(not one.derived for one in found)
    if sampled > len(shown(found)):
        parts.append(
            f"<p>Figures show the first {len(shown(found))} of {sampled} sampled parameters; the table has all.</p>"
        )
    parts += [_notes(draws), _provenance(draws), "</body>\n</html>\n"]
    (folder / "index.html").write_text("\n".join(parts), encoding="utf-8")


def _label(name: str, view: xr.DataTree) -> str:
    """A heading for one of several glaciers."""
    return f"<h3>{html.escape(' '.join([name, str(view.attrs.get('rgi_id', ''))]).strip())}</h3>\n" if name else ""


def _section(section: _Section, glacier: str, draws: xr.DataTree, folder: Path) -> str:
    import matplotlib

    from glacierbayes.report import figures, law_figures, parameter_figures
    from glacierbayes.report.style import STYLE

    rooms = (figures, parameter_figures, law_figures)
    make = next(getattr(room, section.figure) for room in rooms if hasattr(room, section.figure))
    file = f"{glacier}_{section.figure}.png" if glacier else f"{section.figure}.png"
    try:
        with matplotlib.rc_context(STYLE):
            make(draws).savefig(folder / file)
    except LeftOut as reason:
        return f'<p class="left-out">{html.escape(str(reason))}</p>'
    return (
        f'<figure><img src="{file}" alt="{section.title} {glacier}"><figcaption>{section.caption}</figcaption></figure>'
    )


def _head(draws: xr.DataTree, source: str) -> str:
    glacier = str(draws.attrs.get("rgi_id", "")) or "a glacier without an RGI id"
    model = str(draws.attrs.get("model", "")) or "not named"
    title = html.escape(f"Ice flow of {glacier}")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{CSS}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<p class="lead">Posterior of the model <b>{html.escape(model)}</b>, from {html.escape(source)}. '
        "All intervals hold 90 % (equal tails).</p>"
    )


def _trust(trust: Check) -> str:
    problems = "".join(f"<li>{html.escape(problem)}</li>" for problem in trust.problems + trust.remarks)
    rows = "".join(
        f'<tr><td>{name}</td><td class="text">{html.escape(value)}</td><td class="text">{rule}</td></tr>'
        for name, value, rule in trust.sampler
    )
    return (
        f'<div class="verdict{"" if trust.ok else " bad"}"><p>{trust.verdict}</p>'
        + (f"<ul>{problems}</ul>" if problems else "")
        + '</div>\n<table><thead><tr><th>run</th><th class="text"></th><th class="text">expected</th></tr></thead>'
        + f"<tbody>{rows}</tbody></table>"
    )


def _fit(statistics: dict) -> str:
    lines = []
    if statistics.get("blocks", 3) < 3:
        lines.append(
            f"Blocks with more than 50 m of ice: {statistics['blocks']}, too few to say how well speeds are met."
        )
    elif "blocks" in statistics:
        lines.append(
            f"In {statistics['blocks']} blocks with more than 50 m of ice, observed and modelled log speeds correlate "
            f"at <b>{statistics['log_correlation']:.2f}</b>, the median ratio of modelled to observed speed is "
            f"<b>{statistics['median_ratio']:.2f}</b>, and <b>{100 * statistics['coverage_90']:.0f} %</b> of the "
            "blocks lie in their 90 % predictive intervals."
        )
    else:
        lines.append("No surface velocity was used.")
    if "periods" in statistics:
        lines += [
            f"Mass balance {html.escape(period)}: observed {_fixed(observed, 2)} \u00b1 {sigma:.2f}, modelled "
            f"<b>{_fixed(modelled, 2)}</b> m w.e. yr<sup>\u22121</sup> ({_fixed(difference, 1)} sigma from it)."
            for period, observed, sigma, modelled, difference in zip(
                *(statistics[key] for key in ("periods", "balance_observed", "balance_sigma", "balance_modelled")),
                statistics["balance_difference_in_sigma"],
                strict=True,
            )
        ]
    else:
        lines.append("No geodetic mass balance was used.")
    return "\n".join(f"<p>{line}</p>" for line in lines)


def _table(found: list[Parameter], trust: Check) -> str:
    rows = []
    judged = [row for row in trust.rows if belongs(row[0], found)]
    for one, (name, r_hat, bulk, tail, _) in zip(found, judged, strict=True):
        numbers = trust.table.loc[name]
        good = (numbers["r_hat"] < LARGEST_R_HAT, numbers["ess_bulk"] >= LEAST_ESS, numbers["ess_tail"] >= LEAST_ESS)
        trusted = "".join(
            f"<td{'' if fine else ' class=bad'}>{text}</td>"
            for fine, text in zip(good, (r_hat, bulk, tail), strict=True)
        )
        rows.append(
            f"<tr{' class=derived' if one.derived else ''}><td>{html.escape(plain_name(one.name))}"
            f"<small>{html.escape(one.long_name)}</small></td>"
            f'<td class="text">{units_html(html.escape(one.units))}</td>'
            f"{_interval(one.posterior)}{_interval(one.prior)}"
            f'<td>{_fixed(one.contraction, 2)}</td><td class="text said">{one.learnt}</td>' + f"{trusted}</tr>"
        )
    derived = "Shaded rows follow from the others. " if any(one.derived for one in found) else ""
    return (
        '<h2>Parameters</h2>\n<div class="scroll"><table><thead><tr><th>parameter</th><th class="text">unit</th>'
        "<th>median<br>90 % interval</th><th>prior median<br>90 % interval</th><th>contraction</th>"
        '<th class="text">what the data said</th><th>R-hat</th><th>bulk ESS</th><th>tail ESS</th></tr></thead><tbody>'
        + "\n".join(rows)
        + f'</tbody></table></div>\n<p>{derived}Unrounded numbers: <a href="parameters.csv">parameters.csv</a>.</p>'
    )


def _notes(draws: xr.DataTree) -> str:
    notes = [EFFECTIVE] if any(str(n).endswith("creep_parameter") for n in group(draws, "posterior")) else []
    notes += [str(note) for note in json.loads(draws.attrs.get("notes", "[]"))]
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f"<h2>Notes and scope</h2>\n<ul>{items}</ul>" if items else ""


def _provenance(draws: xr.DataTree) -> str:
    attrs = draws.attrs
    rows = [
        (label, html.escape(str(attrs[name])))
        for name, label in PROVENANCE.items()
        if name in attrs and str(attrs[name])
    ]
    for name in ("options", "versions"):
        pairs = json.loads(attrs.get(name, "{}")).items()
        if pairs:
            rows.append((name, html.escape(", ".join(f"{key} {value}" for key, value in pairs))))
    for name, digest in json.loads(attrs.get("data_files", "[]")):
        rows.append((html.escape(Path(str(name)).name), f"<code>SHA-256 {html.escape(str(digest))}</code>"))
    body = "".join(f'<tr><td>{label}</td><td class="text">{value}</td></tr>' for label, value in rows)
    return f"<h2>Provenance</h2>\n<table><tbody>{body}</tbody></table>" if rows else ""


def _interval(values: np.ndarray) -> str:
    from glacierbayes.report.parameters import QUANTILES

    if not values.size or not np.isfinite(values).all():
        return "<td>-</td>"
    lower, median, upper = (_significant(value) for value in np.quantile(values, (QUANTILES[0], 0.5, QUANTILES[1])))
    return f'<td><span class="number">{median}</span><small class="number">{lower} to {upper}</small></td>'


def _significant(value: float) -> str:
    """Three digits; powers of ten as people write them."""
    text = f"{value:.0f}" if 1000 <= abs(value) < 1e5 else f"{value:#.3g}".removesuffix(".")
    mantissa, _, power = text.partition("e")
    if power:
        text = f"{mantissa}\u00b710<sup>{int(power)}</sup>"
    return text.replace("-", "\u2212")


def _fixed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "\u2212") if np.isfinite(value) else "-"
