"""The command line: exit statuses, one to three lines on standard error, nothing half written."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from glacierbayes.cli import main, parse_options
from glacierbayes.errors import InputError


@pytest.fixture
def cli(capsys):
    """Runs a command line, gives its exit status, standard output and standard error."""

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return run


@pytest.fixture
def fake(monkeypatch):
    """Puts stand-ins in the place of the modules that a command imports."""

    def put(name: str, **members: object) -> None:
        monkeypatch.setitem(sys.modules, f"glacierbayes.{name}", SimpleNamespace(**members))

    return put


def refused(result: tuple[int, str, str], *words: str) -> None:
    status, out, err = result
    assert status == 2
    assert out == ""
    assert err.startswith("glacierbayes: error: ")
    assert 1 <= len(err.strip().splitlines()) <= 3
    assert "Traceback" not in err
    assert not set(err) & set("╭│╰")
    for word in words:
        assert word in err


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from glacierbayes.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: status = end.code\n"
        "print(status, *sys.modules, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("demo", "infer", "simulate", "check", "report", "fetch"):
        assert command in run.stdout
    status, *modules = run.stderr.split()
    assert status == "0"
    assert not {"jax", "numpy", "scipy", "xarray", "arviz", "numpyro", "matplotlib"} & set(modules)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["Missing command", "glacierbayes --help"]),
        (["guess"], ["guess", "glacierbayes --help"]),
        (["infer"], ["MODEL", "glacierbayes infer --help"]),
        (["infer", "creep"], ["GLACIER"]),
        (["infer", "creep", "folder"], ["folder", "no such folder"]),
        (["infer", "creep", "folder", "--output", "x.nc", "--chains", "0"], ["--chains"]),
        (["infer", "creep", "folder", "--output", "x.nc", "--draws", "many"], ["--draws"]),
        (["infer", "creep", "folder", "--output", "x.nc", "--sead", "1"], ["--sead", "--seed"]),
        (["infer", "creep", "folder", "--output", "x.nc", "--option", "family"], ["family", "NAME=VALUE"]),
        (["simulate", "folder", "--output", "x.nc"], ["--years"]),
        (["simulate", "folder", "--output", "x.nc", "--years", "2000"], ["--years"]),
        (["simulate", "folder", "--output", "x.nc", "--years", "2020", "2000"], ["--years", "earlier"]),
        (["simulate", "folder", "--output", "x.nc", "--years", "2000", "2020", "--creep", "-1"], ["--creep", "Pa-3"]),
        (["simulate", "folder", "--output", "x.nc", "--years", "2000", "2020", "--creep", "nan"], ["--creep"]),
        (["check"], ["FILE"]),
        (["check", "nowhere.nc"], ["nowhere.nc", "no such file"]),
        (["report", "nowhere.nc", "--output", "page"], ["nowhere.nc", "no such file"]),
    ],
)
def test_bad_usage(cli, args, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(cli(*args), *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "args",
    [
        ["infer", "creep", "folder"],
        ["simulate", "folder", "--years", "2000", "2020"],
        ["fetch", "RGI60-11.01450"],
        ["demo"],
    ],
)
def test_output_is_looked_at_first(cli, args, tmp_path):
    there = tmp_path / "there.nc"
    there.write_text("mine")
    refused(cli(*args, "--output", there), str(there), "already there")
    assert there.read_text() == "mine"
    missing = tmp_path / "no" / "posterior.nc"
    refused(cli(*args, "--output", missing), str(missing), str(missing.parent), "make it first")


def test_options_are_plain_values():
    assert parse_options(["family=spline", "knots=5", "scale=2e-1", "smooth=true", "bed=null"]) == {
        "family": "spline",
        "knots": 5,
        "scale": 0.2,
        "smooth": True,
        "bed": None,
    }


@pytest.mark.parametrize("given", [["family"], ["=3"], ["a b=3"], ["a=1", "a=2"]])
def test_options_that_are_none(given):
    with pytest.raises(InputError, match="--option"):
        parse_options(given)


def _fake_infer(fake, run):
    fake("data.oggm", read_oggm=lambda folder, **_: f"glacier {folder}", read_observations=lambda _, g: f"seen {g}")
    fake("inference.models", find_model=lambda name: name)
    fake("inference.infer", infer=run)


def test_infer_hands_everything_on(cli, fake, tmp_path):
    calls = []
    _fake_infer(fake, lambda *args, **kwargs: calls.append((args, kwargs)))
    output = tmp_path / "posterior.nc"
    settings = ["--chains", "2", "--draws", "10", "--warmup", "20", "--seed", "7", "--option", "knots=5"]
    assert cli("infer", "creep", "a", "--output", output, *settings)[:2] == (0, f"{output}\n")
    assert cli("infer", "creep", "a", "b", "--output", output)[0] == 0
    (one, settings), (two, _) = calls
    assert one == ("creep", "glacier a", "seen glacier a")
    assert two == ("creep", ("glacier a", "glacier b"), ("seen glacier a", "seen glacier b"))
    assert settings == {
        "method": "nuts",
        "chains": 2,
        "draws": 10,
        "warmup": 20,
        "seed": 7,
        "output": output,
        "resume": False,
        "options": {"knots": 5},
    }


def test_infer_resumes_an_output_that_is_there(cli, fake, tmp_path):
    calls = []
    _fake_infer(fake, lambda *_, **kwargs: calls.append(kwargs["resume"]))
    output = tmp_path / "posterior.nc"
    output.touch()
    assert cli("infer", "creep", "a", "--output", output, "--resume")[0] == 0
    assert calls == [True]


def test_an_input_error_is_bad_input(cli, fake, tmp_path):
    def refuse(*_, **__):
        raise InputError("gridded_data.nc: topo is in km, expected m\nmultiply it by 1000")

    _fake_infer(fake, refuse)
    refused(cli("infer", "creep", "a", "--output", tmp_path / "x.nc"), "topo is in km", "multiply it")


def test_a_bug_of_ours_is_not_hidden(fake, tmp_path):
    def stumble(*_, **__):
        raise ZeroDivisionError

    _fake_infer(fake, stumble)
    with pytest.raises(ZeroDivisionError):
        main(["infer", "creep", "a", "--output", str(tmp_path / "x.nc")])


def test_an_interrupt_says_how_to_go_on(cli, fake, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    _fake_infer(fake, interrupt)
    status, _, err = cli("infer", "creep", "a", "--output", tmp_path / "x.nc")
    assert status == 130
    assert "--resume" in err
    assert len(err.splitlines()) == 1


class _Verdict:
    def __init__(self, ok: bool):
        self.ok = ok

    def __str__(self) -> str:
        return "verdict"


@pytest.mark.parametrize(("ok", "status"), [(True, 0), (False, 3)])
def test_status_tells_whether_draws_are_trusted(cli, fake, tmp_path, ok, status):
    file = tmp_path / "posterior.nc"
    file.touch()
    fake("draws.check", check=lambda _: _Verdict(ok))
    fake("demo", run_demo=lambda **_: ok)
    assert cli("check", file) == (status, "verdict\n", "")
    assert cli("demo")[0] == status


def test_report_and_fetch_print_where(cli, fake, tmp_path):
    file, page = tmp_path / "posterior.nc", tmp_path / "page"
    file.touch()
    fetched = []
    fake("report", write_report=lambda _, output: output / "index.html")
    fake("data.oggm", fetch=lambda *args: fetched.append(args) or ["no velocity"])
    assert cli("report", file, "--output", page) == (0, f"{page / 'index.html'}\n", "")
    assert cli("fetch", "RGI60-11.01450", "--output", page) == (0, f"{page}\n", "glacierbayes: no velocity\n")
    assert fetched == [("RGI60-11.01450", page)]


@pytest.fixture
def fake_run(fake):
    """A stand-in for one glacier's run; gives what `simulate` was called with."""
    calls = []
    climate = SimpleNamespace(
        first_year=1990, last_year=2009, source="a table", covers=lambda a, b: a >= 1990 and b <= 2010
    )

    def run(glacier, law, balance, years, save_at):
        calls.append(SimpleNamespace(law=law, balance=balance, years=years, save_at=save_at))
        dataset = xr.Dataset({"thickness": ("time", np.zeros(len(save_at)))})
        return SimpleNamespace(ok=law["A"] < 1, result="not a number", to_dataset=dataset.assign_attrs)

    fake("data.oggm", read_oggm=lambda *_, **__: SimpleNamespace(climate=climate))
    fake("laws", Glen=dict)
    fake("physics.mass_balance", TemperatureIndex=lambda _, **factors: factors)
    fake("solvers.simulate", simulate=run)
    return calls


def test_simulate_writes_a_history(cli, fake_run, tmp_path):
    output = tmp_path / "history.nc"
    status, out, err = cli("simulate", "a", "--years", "2000", "2002.5", "--creep", "1e-24", "--output", output)
    assert (status, out) == (0, f"{output}\n")
    assert "a table" in err
    assert fake_run[0].law == {"A": 1e-24, "n": 3.0}
    assert fake_run[0].save_at == (2000.0, 2001.0, 2002.0)
    assert fake_run[0].balance == {"melt_factor": 5.0, "precipitation_factor": 2.0, "temperature_bias": 0.0}
    assert xr.load_dataset(output, engine="h5netcdf").thickness.shape == (3,)
    assert xr.load_dataset(output, engine="h5netcdf").attrs["creep_parameter"] == 1e-24
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("extra", "note"), [(["2000", "2020"], "1990 to 2009"), (["2000", "2005", "--no-balance"], "as asked")]
)
def test_simulate_says_when_there_is_no_balance(cli, fake_run, tmp_path, extra, note):
    status, _, err = cli("simulate", "a", "--output", tmp_path / "history.nc", "--years", *extra)
    assert status == 0
    assert note in err
    assert fake_run[0].balance is None


@pytest.mark.usefixtures("fake_run")
def test_simulate_writes_nothing_where_the_solve_failed(cli, tmp_path):
    status, out, err = cli(
        "simulate", "a", "--years", "2000", "2005", "--creep", "9", "--output", tmp_path / "history.nc"
    )
    refused((status, out, err), "--creep", "could not be solved (not a number)")
    assert not list(tmp_path.iterdir())
