"""What a posterior of a real glacier costs, whether it can be trusted, and how well it meets the observations.

    python experiments/real_glacier.py RGI60-11.01450 --resolution 400 --output aletsch400.nc

Writes the draws and, beside them, the same name with .json: time, effective draws per second, check, fit. A run that
was cut off goes on when it is called again; its wall time is then that of the last part, and `sampling_seconds` (all
chains, one core each) is the whole.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np

import glacierbayes as gb
from glacierbayes.inference.processes.pool import cores
from glacierbayes.report import fit_statistics, parameter_table


def figures(path: Path) -> dict:
    """Everything that a reader of the README is told about a file of draws."""
    from glacierbayes.draws.open import open_draws

    draws = open_draws(path)
    trust = gb.check(draws)
    table = parameter_table(draws, trust=trust)
    sampled = table[~table["derived"]]
    seconds = float(draws.attrs["wall_seconds"])
    posterior = draws["posterior"].to_dataset()
    logs = {
        name: np.log(posterior[name].values.ravel())
        for name in ("creep_parameter", "sliding_parameter", "thickness_scale")
        if name in posterior
    }
    correlation = np.corrcoef(list(logs.values()))
    return {
        "machine": f"{cores()} cores, {platform.machine()}",
        "transitions": f"{trust.chains} x ({draws.attrs['warmup']} + {trust.draws})",
        "wall_minutes": seconds / 60,
        "sampling_minutes_all_chains": float(draws.attrs["sampling_seconds"]) / 60,
        "gradients_per_draw": float(draws["sample_stats"]["n_steps"].mean()),
        "least_ess_bulk": float(sampled["ess_bulk"].min()),
        "least_ess_tail": float(sampled["ess_tail"].min()),
        "ess_per_second": float(sampled["ess_bulk"].min()) / seconds,
        "largest_r_hat": float(table["r_hat"].max()),
        "trusted": trust.ok,
        "sampler": {name: value for name, value, _ in trust.sampler},
        "problems": trust.problems,
        "remarks": trust.remarks,
        "fit": fit_statistics(draws),
        "medians_and_90_%": {
            str(name): [float(row[column]) for column in ("ci90_lower", "median", "ci90_upper")]
            for name, row in table.iterrows()
        },
        "correlation_of_logs": {
            f"{a}, {b}": float(correlation[i, j]) for i, a in enumerate(logs) for j, b in enumerate(logs) if i < j
        },
        "notes": draws.attrs["notes"],
    }


def main() -> None:
    """Reads the command line, samples if the draws are not there, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("glacier", type=Path)
    parser.add_argument("--model", default="creep_and_sliding")
    parser.add_argument("--resolution", type=float)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--warmup", type=int, default=500)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if not options.output.exists():
        glacier = gb.read_oggm(options.glacier, resolution=options.resolution)
        observations = gb.read_observations(options.glacier, glacier)
        settings = {name: getattr(options, name) for name in ("chains", "draws", "warmup", "output")}
        gb.infer(options.model, glacier, observations, resume=True, **settings)
    found = json.dumps(figures(options.output), indent=1)
    options.output.with_suffix(".json").write_text(found)
    print(found)


if __name__ == "__main__":
    main()
