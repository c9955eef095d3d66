"""The demo: infer the known law of a synthetic glacier, and print truth beside posterior."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

CHAINS, DRAWS, WARMUP = 4, 500, 120


def run_demo(output: Path | None = None, seed: int = 1) -> bool:
    """Creep and sliding of a synthetic valley glacier.

    Args:
        output: a new folder for the draws and the report; None for none.
        seed: of the sampler.

    Returns:
        Whether the draws can be trusted.

    Raises:
        InputError: the folder is there already, or its parent is not.
    """
    from glacierbayes.data.synthetic import sampled_truth, valley_glacier
    from glacierbayes.draws.check import check
    from glacierbayes.errors import InputError
    from glacierbayes.inference.infer import infer
    from glacierbayes.priors import reference_geometry

    if output is not None and (output.exists() or not output.parent.is_dir()):
        raise InputError(f"output {output}: expected a new folder in one that is there")
    began = time.monotonic()
    print("A synthetic valley glacier with a known law; its speed and its balance are seen with noise.", flush=True)
    twin = valley_glacier()
    truth = twin.truth | sampled_truth(twin.truth, *reference_geometry(twin.glacier))
    with tempfile.TemporaryDirectory() as scratch:
        draws = infer(
            "creep_and_sliding",
            twin.glacier,
            twin.observations,
            chains=CHAINS,
            draws=DRAWS,
            warmup=WARMUP,
            seed=seed,
            output=Path(scratch) / "posterior.nc",
        )
        if output is not None:
            _keep(draws, output)
    print(f"\n{'parameter':24}{'truth':>12}{'median':>12}{'90 % interval':>28}  unit")
    posterior = draws["posterior"].to_dataset()
    for name, value in truth.items():
        low, middle, high = np.quantile(posterior[name].values, (0.05, 0.5, 0.95))
        interval = f"{low:.3g} to {high:.3g}"
        inside = "" if low <= value <= high else "  truth outside"
        print(f"{name:24}{value:12.3g}{middle:12.3g}{interval:>28}  {posterior[name].attrs['units']}{inside}")
    print("One truth in ten lies outside a 90 % interval by right.\n")
    verdict = check(draws)
    print(verdict)
    print(f"\n{time.monotonic() - began:.0f} s from start to end, compilation included.")
    if output is not None:
        print(f"Draws and report: {output}")
    return bool(verdict.ok)


def _keep(draws, output: Path) -> None:
    from glacierbayes.report import write_report

    output.mkdir()
    draws.to_netcdf(output / "posterior.nc", engine="h5netcdf")
    write_report(draws, output / "report")
