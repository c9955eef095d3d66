"""Every engine: the draws are right, a run that was ended goes on, and a foreign state is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.chunks import finished_chunks, read_arrays, write_arrays
from glacierbayes.inference.engines import ENGINES, find_engine
from glacierbayes.inference.progress import ProgressReport

pytestmark = pytest.mark.run

DATA = np.array([[1.2, 0.4], [0.8, -0.3], [1.1, 0.1]])
SETTINGS = {"chains": 2, "draws": 60, "warmup": 45, "seed": 3, "workers": 0}
MEAN, SD = DATA.sum(0) / 4, np.sqrt(1 / 4)  # of three data with an error of 1 under a standard normal prior


def model(glacier, observations=None):
    """A Gaussian whose posterior is known; a run of the glacier is not needed for what is tested here."""
    level = priors.sample("level", dist.Normal(jnp.zeros(2), 1.0).to_event(1), "m", "level")
    numpyro.sample("data", dist.Normal(level, 1.0), obs=jnp.asarray(DATA))


def funnel(glacier, observations=None):
    """A scale on which the width of the level depends: no run of a few draws, and no Gaussian, is to be trusted."""
    scale = priors.sample("scale", dist.Normal(0.0, 1.5), "1", "log of the scale")
    priors.sample("level", dist.Normal(0.0, jnp.exp(scale)), "m", "level")


def assert_same_draws(one: xr.DataTree, other: xr.DataTree) -> None:
    for group in ("posterior", "sample_stats", "posterior_predictive"):
        for name, values in one[group].to_dataset().data_vars.items():
            np.testing.assert_array_equal(values, other[group].to_dataset()[name], err_msg=str(name))


@pytest.fixture(scope="module", params=list(ENGINES))
def run(request, tmp_path_factory):
    """A finished run of every engine, too short to be trusted, so that its parts are there."""
    path = tmp_path_factory.mktemp("run") / "posterior.nc"
    return request.param, path, gb.infer(funnel, None, None, method=request.param, output=path, **SETTINGS)


@pytest.mark.parametrize("method", list(ENGINES))
def test_a_known_posterior_is_found(method, tmp_path):
    settings = {**SETTINGS, "draws": 800, "warmup": 200}
    draws = gb.infer(model, None, None, method=method, output=tmp_path / "p.nc", **settings)
    answer = gb.check(draws)
    assert answer.ok, answer.problems
    level = draws["posterior"]["level"].values.reshape(-1, 2)
    # at least 400 effective draws: the mean is off by five standard errors once in a million, the deviation as well
    assert np.all(np.abs(level.mean(0) - MEAN) < 5 * SD / np.sqrt(400))
    assert np.all(np.abs(level.std(0) / SD - 1) < 5 / np.sqrt(2 * 400))
    assert draws.attrs["method"] == method and draws.attrs["markov_chain"] == (method != "svi")
    assert not (tmp_path / "p.nc.parts").exists()  # the parts go once the draws can be trusted


def test_a_run_that_was_interrupted_finds_the_same_draws(run, tmp_path, monkeypatch):
    method, _, undisturbed = run
    seen = []

    def interrupt(self, message):
        seen.append(message)
        if len(seen) == 4:
            raise KeyboardInterrupt

    output = tmp_path / "posterior.nc"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ProgressReport, "update", interrupt)
        gb.infer(funnel, None, None, method=method, output=output, **SETTINGS)
    assert not output.exists() and finished_chunks(tmp_path / "posterior.nc.parts", 0) == 4
    assert_same_draws(undisturbed, gb.infer(funnel, None, None, method=method, output=output, resume=True, **SETTINGS))


def test_more_draws_go_on_from_those_that_are_there(run, tmp_path):
    method, path, draws = run
    shutil.copytree(path.parent, tmp_path, dirs_exist_ok=True)
    output = tmp_path / path.name
    more = gb.infer(funnel, None, None, method=method, output=output, resume=True, **{**SETTINGS, "draws": 90})
    assert more["posterior"].sizes["draw"] == 90
    one, other = (tree["posterior"]["level"].values for tree in (draws, more))
    np.testing.assert_array_equal(one, other[:, :60])
    with pytest.raises(gb.InputError, match="another draws"):
        gb.infer(funnel, None, None, method=method, output=output, resume=True, **{**SETTINGS, "draws": 80})


def test_another_run_is_refused(run):
    method, path, finished = run
    with pytest.raises(gb.InputError, match="is there already"):
        gb.infer(funnel, None, None, method=method, output=path, **SETTINGS)
    with pytest.raises(gb.InputError, match="another seed"):
        gb.infer(funnel, None, None, method=method, output=path, resume=True, **{**SETTINGS, "seed": 4})
    other = next(name for name in ENGINES if name != method)
    with pytest.raises(gb.InputError, match="another method"):
        gb.infer(funnel, None, None, method=other, output=path, resume=True, **SETTINGS)
    again = gb.infer(funnel, None, None, method=method, output=path, resume=True, **SETTINGS)
    assert again.attrs["created"] == finished.attrs["created"]


def _begun(path: Path, folder: Path) -> Path:
    """The parts of a finished run without its last chunks, as of a run that was killed."""
    shutil.copytree(path.with_name(f"{path.name}.parts"), folder)
    for chunk in folder.glob("chain*_0004.npz"):
        chunk.unlink()
    return folder


@pytest.mark.parametrize("run", ["nuts"], indirect=True)
def test_a_state_of_another_format_is_refused_and_not_misread(run, tmp_path):
    _, path, _ = run
    folder = _begun(path, tmp_path / "posterior.nc.parts")
    chunk = folder / "chain0_0003.npz"
    arrays = read_arrays(chunk)
    assert {"state.search.log_step", "state.covariance", "engine", "state_format"} <= set(arrays)
    for change in ({"state_format": np.asarray(1)}, {"engine": np.asarray("blackjax")}):
        write_arrays(chunk, arrays | change)
        with pytest.raises(gb.InputError, match="expected nuts in format 2; remove") as refused:
            gb.infer(funnel, None, None, output=tmp_path / "posterior.nc", resume=True, **SETTINGS)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("run", ["nuts"], indirect=True)
def test_parts_of_an_earlier_version_are_refused_in_one_line(run, tmp_path):
    _, path, _ = run
    folder = _begun(path, tmp_path / "posterior.nc.parts")
    settings = json.loads((folder / "run.json").read_text())
    for change, said in (({"format": None}, "earlier version"), ({"version": "0.0.9"}, "another version")):
        (folder / "run.json").write_text(json.dumps({**settings, **change}))
        with pytest.raises(gb.InputError, match=said) as refused:
            gb.infer(funnel, None, None, output=tmp_path / "posterior.nc", resume=True, **SETTINGS)
        assert "\n" not in str(refused.value)


class Independent(gb.Engine):
    """An engine of a user: independent draws of the Gaussian where chains start."""

    name = "independent"
    markov_chain = False

    def init(self, key, chain):
        return {"key": key, "z": jnp.asarray(self.start["mean"]), "away": jnp.zeros(2)}

    def warm_up(self, state):
        return state

    def step(self, state):
        key, noise = jax.random.split(state["key"])
        away = jax.random.normal(noise, (2,))
        root = jnp.linalg.cholesky(jnp.asarray(self.start["covariance"]))
        return {"key": key, "z": self.start["mean"] + root @ away, "away": away}

    def statistics(self, state):
        return {}

    def record(self, state):
        lp = -self.problem.potential(state["z"])
        return gb.Draw(state["z"], {"lp": lp, "log_weight": lp + 0.5 * state["away"] @ state["away"]})


def test_an_engine_of_a_users_is_sampled_checked_and_resumed(tmp_path):
    output, settings = tmp_path / "own.nc", {**SETTINGS, "warmup": 1}
    draws = gb.infer(model, None, None, method=Independent, output=output, **{**settings, "draws": 400})
    assert gb.check(draws).ok and draws.attrs["method"] == "independent"
    # 400 independent draws: five standard errors
    assert np.all(np.abs(draws["posterior"]["level"].values.mean((0, 1)) - MEAN) < 5 * SD / 20)


def test_an_unknown_method_is_named():
    with pytest.raises(gb.InputError, match='method "gibbs" is not known: expected nuts, svi, blackjax'):
        find_engine("gibbs")


def test_progress_is_one_line_a_chunk_where_there_is_no_terminal(tmp_path, capsys):
    gb.infer(model, None, None, output=tmp_path / "p.nc", **{**SETTINGS, "draws": 30, "warmup": 20, "chains": 1})
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("chain 1: ")]
    assert len(lines) == 3 and "warm-up 20/20" in lines[0] and "draws 30/30" in lines[-1]
    assert all("gradients a draw" in line and "divergences" in line and "left" in line for line in lines)


def _killed_and_resumed(tmp_path: Path, method: str, settings: dict, kills: int, longest: float) -> xr.DataTree:
    """Kills a run with all its processes at random moments up to `longest` seconds after it has chunks, and ends it."""
    output, folder, script = (tmp_path / name for name in ("killed.nc", "killed.nc.parts", "run.py"))
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "import glacierbayes as gb\n"
        "from tests.inference.test_engines import model\n"
        f"gb.infer(model, None, None, method={method!r}, output={str(output)!r}, resume=True, **{settings})\n"
    )

    def finished_of_each() -> list[int]:
        return [finished_chunks(folder, chain) for chain in range(settings["chains"])]

    for delay in np.random.default_rng(7).uniform(0.0, longest, kills):
        earlier = finished_of_each()
        process = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 240
        while finished_of_each() == earlier and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(delay)
        before = finished_of_each()
        assert process.poll() is None, "the run was over before it was killed"
        os.kill(process.pid, signal.SIGKILL)  # the chains see their input end, and stop
        process.wait()
        time.sleep(0.5)
        assert all(n >= m for n, m in zip(finished_of_each(), before, strict=True))
    subprocess.run([sys.executable, script], stderr=subprocess.DEVNULL, check=True)
    with xr.open_datatree(output, engine="h5netcdf") as tree:
        return tree.load()


@pytest.mark.parametrize("method", ["nuts", "blackjax"])
def test_killed_and_resumed_equals_undisturbed(method, tmp_path):
    settings = {"chains": 2, "draws": 1500, "warmup": 45, "seed": 3}
    undisturbed = gb.infer(model, None, None, method=method, output=tmp_path / "posterior.nc", **settings)
    assert_same_draws(undisturbed, _killed_and_resumed(tmp_path, method, settings, kills=1, longest=0.3))


@pytest.mark.slow
def test_killed_ten_times_equals_undisturbed(tmp_path):
    settings = {"chains": 2, "draws": 20000, "warmup": 45, "seed": 3}
    undisturbed = gb.infer(model, None, None, output=tmp_path / "posterior.nc", **settings)
    assert_same_draws(undisturbed, _killed_and_resumed(tmp_path, "nuts", settings, kills=10, longest=1.0))
