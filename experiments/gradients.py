"""Is the gradient of the log density right, and is the density smooth enough for NUTS?

For both shipped models on one glacier: forward against reverse mode, reverse mode against central differences at three
draws of the Gaussian about which chains start, and the second differences of the log density over 200 equally spaced
values of ln A that span the central 95 % of its posterior (that Gaussian's), by the reference speed alone and along
the ridge, where every other parameter takes the mean that goes with that ln A. "kink" is what is left without
the running median of 11, which is the density's own curvature. At Aletsch 400 m the kinks are not the solver's (half
the step or three times the stages leave them as they are): the density is continuous there, but its slope is not, at
values where a cell at the margin gets its first ice.

    python experiments/gradients.py RGI60-11.01450 --resolution 400 --output gradients.json
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import glacierbayes as gb
from glacierbayes.inference.models import find_model
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.start.mode import find_start

STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)  # of central differences, in posterior standard deviations
PLACES = 200


def study(model: str, glacier: gb.Glacier, observations: gb.Observations, seed: int) -> dict:
    """All figures of one model."""
    problem = Problem(find_model(model), glacier, observations, {})
    start = find_start(problem, seed)
    middle, root = start["mean"], np.linalg.cholesky(start["covariance"])
    scale = np.sqrt(np.diag(start["covariance"]))
    rng = np.random.default_rng(seed)
    density = jax.jit(problem.potential)
    reverse, forward = jax.jit(jax.grad(problem.potential)), jax.jit(jax.jacfwd(problem.potential))

    modes, differences = [], []
    for _ in range(3):
        point = middle + root @ rng.normal(size=middle.size)
        one, other = np.asarray(reverse(jnp.asarray(point))), np.asarray(forward(jnp.asarray(point)))
        modes += list(np.abs(other / one - 1))
        for i, unit in enumerate(np.diag(scale)):
            central = [(float(density(point + h * unit)) - float(density(point - h * unit))) / (2 * h) for h in STEPS]
            differences.append(min(abs(d / (scale[i] * one[i]) - 1) for d in central))

    many = middle + rng.normal(size=(20_000, middle.size)) @ root.T
    log_creep = np.asarray(_log_creep(problem)(jnp.asarray(many)))
    low, high = np.quantile(log_creep, (0.025, 0.975))
    # ln A is ln speed plus what the other parameters make of it; every site of these models is a scalar
    speed = problem.names.index("reference_speed")
    centre = float(_log_creep(problem)(jnp.asarray(middle[None]))[0])
    ridge = np.cov(many.T, log_creep)[-1, :-1] / np.var(log_creep)
    bends = {}
    for name, direction in {"reference speed": np.eye(middle.size)[speed], "ridge": ridge}.items():
        values = [float(density(middle + (a - centre) * direction)) for a in np.linspace(low, high, PLACES)]
        second = np.diff(values, 2)
        smooth = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(second, 5, mode="edge"), 11), 1)
        bends[name] = {"largest": float(np.max(np.abs(second))), "kink": float(np.max(np.abs(second - smooth)))}
    return {
        "forward_against_reverse": float(max(modes)),
        "differences_median": float(np.median(differences)),
        "differences_worst": float(max(differences)),
        "log_creep_95": [float(low), float(high)],
        "second_difference": bends,
    }


def _log_creep(problem: Problem) -> Callable:
    """ln A of many vectors; compiled, the solve falls away."""

    def log_creep(vector: jax.Array) -> jax.Array:
        return jnp.log(problem.evaluate(vector, jax.random.key(0))["derived"]["creep_parameter"])

    return jax.jit(jax.vmap(log_creep))


def main() -> None:
    """Reads the command line, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("glacier", type=Path)
    parser.add_argument("--resolution", type=float, default=400.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("gradients.json"))
    options = parser.parse_args()
    glacier = gb.read_oggm(options.glacier, resolution=options.resolution)
    observations = gb.read_observations(options.glacier, glacier)
    found = {}
    for model in ("creep", "creep_and_sliding"):
        found[model] = study(model, glacier, observations, options.seed)
        print(model, json.dumps(found[model], indent=1), flush=True)
    options.output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
