"""The command line: thin, and quick to answer, so everything heavy is imported inside the commands.

Exit status: 0 done; 2 bad input; 3 draws that are not to be trusted (`check`, `demo`); 130 interrupted;
1 only for a bug of ours, with its traceback.
"""

import json
import logging
import math
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from glacierbayes import __version__
from glacierbayes.errors import InputError
from glacierbayes.inference.models import model_names

BAD_INPUT = 2
NOT_TRUSTED = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells count

app = typer.Typer(
    name="glacierbayes",
    help="Probabilistic inference of glacier flow laws.",
    add_completion=False,
    rich_markup_mode=None,  # brackets are brackets
    pretty_exceptions_enable=False,
)

MODEL_HELP = f"Name of a model that is shipped ({', '.join(model_names())}), or a Python file."
Glaciers = Annotated[list[Path], typer.Argument(metavar="GLACIER", help="OGGM glacier directories.")]
OneGlacier = Annotated[Path, typer.Argument(metavar="GLACIER", help="An OGGM glacier directory.")]
DrawsFile = Annotated[Path, typer.Argument(metavar="FILE", help="Draws that `glacierbayes infer` wrote.")]
Resolution = Annotated[
    float | None, typer.Option(help="Grid spacing in m, rounded to a multiple of the data's; theirs by default.")
]
Thickness = Annotated[
    str | None, typer.Option(help="Thickness product, consensus or millan; the first that is there by default.")
]


@app.command()
def demo(
    output: Annotated[Path | None, typer.Option(help="Folder for the draws and the report; none by default.")] = None,
) -> None:
    """Infer the known law of a synthetic glacier."""
    if output is not None:
        _check_new(output)
    from glacierbayes.demo import run_demo

    if not run_demo(output=output):
        raise typer.Exit(NOT_TRUSTED)


@app.command()
def infer(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    glaciers: Glaciers,
    output: Annotated[Path, typer.Option(help="NetCDF file for the draws.")] = Path("posterior.nc"),
    resolution: Resolution = None,
    thickness: Thickness = None,
    method: Annotated[str, typer.Option(help="nuts, svi (faster, approximate) or blackjax.")] = "nuts",
    chains: Annotated[int, typer.Option(min=1, help="Independent chains.")] = 4,
    draws: Annotated[int, typer.Option(min=1, help="Draws recorded in each chain.")] = 1000,
    warmup: Annotated[int, typer.Option(min=1, help="Warm-up transitions in each chain.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Option of the model; can be given again.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last chunk of draws.")] = False,
) -> None:
    """Draw from the posterior of one glacier or several."""
    options = parse_options(option or [])
    _check_new(output, resume)
    from glacierbayes.data.oggm import read_observations, read_oggm
    from glacierbayes.inference.infer import infer as run
    from glacierbayes.inference.models import find_model

    find_model(model)
    read = [read_oggm(folder, resolution=resolution, thickness=thickness) for folder in glaciers]
    observations = [read_observations(folder, glacier) for folder, glacier in zip(glaciers, read, strict=True)]
    one = len(read) == 1
    run(
        model,
        read[0] if one else tuple(read),
        observations[0] if one else tuple(observations),
        method=method,
        chains=chains,
        draws=draws,
        warmup=warmup,
        seed=seed,
        output=output,
        resume=resume,
        options=options,
    )
    print(output)


@app.command()
def simulate(
    glacier: OneGlacier,
    years: Annotated[tuple[float, float], typer.Option(metavar="START END", help="Decimal years.")],
    output: Annotated[Path, typer.Option(help="NetCDF file for the thickness at every whole year.")],
    resolution: Resolution = None,
    thickness: Thickness = None,
    creep: Annotated[float, typer.Option(help="Glen's creep parameter A for n = 3, Pa-3 s-1.")] = 2.4e-24,
    melt_factor: Annotated[float, typer.Option(min=0.0, help="Melt factor, kg m-2 d-1 K-1.")] = 5.0,
    precipitation_factor: Annotated[float, typer.Option(min=0.0, help="Factor on precipitation.")] = 2.0,
    temperature_bias: Annotated[float, typer.Option(help="Added to the temperature, K.")] = 0.0,
    no_balance: Annotated[bool, typer.Option("--no-balance", help="Let the ice flow, no snow and no melt.")] = False,
) -> None:
    """Run one glacier forward in time."""
    start, end = years
    if not (math.isfinite(start) and math.isfinite(end) and start < end):
        raise InputError(f"--years {start:g} {end:g}: expected the earlier year first, as --years 2000 2020")
    if not (math.isfinite(creep) and creep >= 0):
        raise InputError(f"--creep {creep:g}: expected Pa-3 s-1, 0 or more; 2.4e-24 is ice at 0 degC")
    for name, value in {
        "melt-factor": melt_factor,
        "precipitation-factor": precipitation_factor,
        "temperature-bias": temperature_bias,
    }.items():
        if not math.isfinite(value):
            raise InputError(f"--{name} {value:g}: expected a finite number")
    _check_new(output)
    from glacierbayes.data.oggm import read_oggm
    from glacierbayes.laws import Glen
    from glacierbayes.physics.mass_balance import TemperatureIndex
    from glacierbayes.solvers.simulate import simulate as run

    ice = read_oggm(glacier, resolution=resolution, thickness=thickness)
    balance = None
    if no_balance:
        reason = "none, as asked"
    elif ice.climate is None:
        reason = "none: the directory has no climate"
    elif not ice.climate.covers(start, end):
        reason = f"none: the climate is of {ice.climate.first_year} to {ice.climate.last_year}"
    else:
        balance = TemperatureIndex(
            ice.climate,
            melt_factor=melt_factor,
            precipitation_factor=precipitation_factor,
            temperature_bias=temperature_bias,
        )
        reason = f"temperature index, climate of {ice.climate.source}"
    whole_years = tuple(float(year) for year in range(math.ceil(start), math.floor(end) + 1))
    history = run(ice, Glen(A=creep, n=3.0), balance, years=(start, end), save_at=whole_years)
    if not bool(history.ok):
        raise InputError(
            f"--creep {creep:g}: the flow could not be solved ({history.result}); try a smaller value or a coarser "
            "--resolution"
        )
    _note(f"mass balance: {reason}")
    dataset = history.to_dataset(creep_parameter=creep, mass_balance=reason, glacierbayes=__version__)
    partial = output.with_name(f".{output.name}.partial")
    try:
        dataset.to_netcdf(partial, engine="h5netcdf")
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    print(output)


@app.command()
def check(file: DrawsFile) -> None:
    """Say whether draws can be trusted.

    Judged are R-hat, effective sample size, divergences, failed solves and energy; status 3 where they fail.
    """
    _check_file(file)
    from glacierbayes.draws.check import check as run

    result = run(file)
    print(result)
    if not result.ok:
        raise typer.Exit(NOT_TRUSTED)


@app.command()
def report(file: DrawsFile, output: Annotated[Path, typer.Option(help="Folder for the page, new.")]) -> None:
    """Write figures, tables and one HTML page."""
    _check_file(file)
    _check_new(output)
    from glacierbayes.report import write_report

    print(write_report(file, output))


@app.command()
def fetch(
    rgi_id: Annotated[str, typer.Argument(metavar="ID", help="RGI id, as RGI60-11.01450.")],
    output: Annotated[Path, typer.Option(help="Folder for the glacier directory, new.")],
) -> None:
    """Get an OGGM glacier directory by RGI id.

    Needs the network and the extra glacierbayes[oggm].
    """
    _check_new(output)
    from glacierbayes.data.oggm import fetch as run

    for missing in run(rgi_id, output):
        _note(missing)
    print(output)


def parse_options(texts: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs as plain values: numbers, true, false and null as JSON has them, else text.

    Raises:
        InputError: no `=`, no name, or a name given twice.
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"--option {text}: expected NAME=VALUE, as --option family=spline")
        if name in options:
            raise InputError(f"--option {name} is given twice ({options[name]!r} and {value!r}); give it once")
        try:
            options[name] = json.loads(value)
        except json.JSONDecodeError:
            options[name] = value
    return options


def _check_new(output: Path, resume: bool = False) -> None:
    """Refuses, before any work, an output that is already there or that cannot be written."""
    parent = output.absolute().parent
    if not parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.parent}; make it first")
    if not os.access(parent, os.W_OK):
        raise InputError(f"--output {output}: the folder {output.parent} cannot be written to; name another")
    if output.exists() and not resume:
        raise InputError(f"--output {output}: is already there; name another, or move it away")


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected draws that `glacierbayes infer ... --output {file}` wrote")


def _note(text: str) -> None:
    print(f"glacierbayes: {text}", file=sys.stderr)


def main(args: list[str] | None = None) -> None:
    """Runs the command line and ends the process with its exit status."""
    args = sys.argv[1:] if args is None else args
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # standard error is for us; python -W gives other packages' warnings back
    logging.getLogger("jax").setLevel(logging.ERROR)
    command = typer.main.get_command(app)
    try:
        status = command.main(args=args, prog_name="glacierbayes", standalone_mode=False)
    except InputError as error:
        sys.exit(_refuse(str(error)))
    except typer.TyperException as error:  # usage; its own way of printing is a box
        sys.exit(_refuse(f"{error.format_message()}\n{_usage_hint(error)}"))
    if status == INTERRUPTED:
        # typer has turned the keyboard's interrupt into a status
        again = "the same command with --resume goes on from the last whole chunk of draws"
        _note(f"interrupted; {again}" if args[:1] == ["infer"] else "interrupted; nothing was written")
    sys.exit(status or 0)


def _refuse(message: str) -> int:
    print(f"glacierbayes: error: {message}", file=sys.stderr)
    return BAD_INPUT


def _usage_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "glacierbayes"
    return f"See: {path} --help"


if __name__ == "__main__":
    main()
