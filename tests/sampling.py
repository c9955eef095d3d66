"""Sampling in this process by NumPyro alone, for tests that need draws and no driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import xarray as xr
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, Predictive, init_to_sample, log_likelihood

from glacierbayes.draws.build import build_tree
from glacierbayes.sites import collect_declarations


def sample(model: Callable, glacier: Any, observations: Any, draws: int = 200, chains: int = 4) -> xr.DataTree:
    """Draws of a model without a solve, as the tree that `infer` returns."""
    with collect_declarations() as declarations:
        jax.eval_shape(
            lambda: handlers.trace(handlers.seed(model, 0)).get_trace(glacier, observations) and None
        )  # as `infer` does: values are traced, what is declared is not
    sites = handlers.trace(handlers.seed(model, 0)).get_trace(glacier, observations)
    latent = [name for name, site in sites.items() if site["type"] == "sample" and not site["is_observed"]]
    observed = {name: np.asarray(s["value"]) for name, s in sites.items() if s["type"] == "sample" and s["is_observed"]}
    options: dict[str, Any] = {"num_chains": chains, "chain_method": "vectorized", "progress_bar": False}
    mcmc = MCMC(NUTS(model, init_strategy=init_to_sample), num_warmup=300, num_samples=draws, **options)
    mcmc.run(jax.random.key(1), glacier, observations, extra_fields=("energy",))
    values = mcmc.get_samples(group_by_chain=True)
    posterior = {name: values[name] for name in latent}
    free = handlers.uncondition(model)
    predicted = Predictive(free, posterior, batch_ndims=2)(jax.random.key(2), glacier, observations)
    densities = log_likelihood(model, posterior, glacier, observations, batch_ndims=2)
    before = Predictive(free, num_samples=200)(jax.random.key(3), glacier, observations)
    before = {name: np.asarray(value)[None] for name, value in before.items()}
    energy = mcmc.get_extra_fields(group_by_chain=True)

    def recorded(source: dict[str, Any], predictive: dict[str, Any]) -> dict[str, np.ndarray]:
        derived = {name: source[name] for name in source if name not in latent and name not in observed}
        groups = {"sites": {name: source[name] for name in latent}, "derived": derived}
        groups["predictive"] = {name: predictive[name] for name in observed}
        return {f"{g}/{n}": np.asarray(v) for g, variables in groups.items() for n, v in variables.items()}

    arrays = recorded(dict(values), predicted) | {f"log_likelihood/{n}": np.asarray(v) for n, v in densities.items()}
    arrays |= {"energy": np.asarray(energy["energy"]), "diverging": np.asarray(energy["diverging"])}
    arrays["solver_failed"] = np.zeros(arrays["diverging"].shape, bool)
    attributes = {"model": model.__name__, "method": "nuts"}
    return build_tree(
        arrays, recorded(before, before), observed, declarations, latent, glacier, observations, attributes
    )
