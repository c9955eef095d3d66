"""`Problem`: a model with its data as functions of one unconstrained vector."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int
from numpyro import handlers
from numpyro.distributions import Unit, biject_to
from numpyro.infer.util import potential_energy

from glacierbayes.errors import InputError
from glacierbayes.sites import collect_declarations
from glacierbayes.solvers.history import History


class Problem:
    """A NumPyro model with its data and options.

    Attributes:
        names: names of the sampled sites, in the order of the vector.
        shapes: shapes of the sampled sites, by name.
        dimension: length of the vector.
        unravel: function from a vector to unconstrained sites by name.
        observed: names of the observed sites.
        declarations: what the model declares about itself (`sites.record_provenance`), and units by name.
    """

    def __init__(self, model: Callable, glacier: Any, observations: Any, options: dict[str, Any]):
        """Traces the model once, without running it.

        Raises:
            InputError: the model has no such option, or uses none of the observations.
        """
        self.model, self.arguments, self.options = model, (glacier, observations), options
        sites: dict[str, dict] = {}

        def trace(key: Array) -> None:
            for name, site in self._trace(handlers.seed(model, key)).items():
                if site["type"] == "sample":
                    sites[name] = site

        with collect_declarations() as declarations:
            try:
                jax.eval_shape(trace, jax.random.key(0))
            except TypeError as error:
                if "argument" in str(error) and "model()" in str(error):
                    known = ", ".join(list(inspect.signature(model).parameters)[2:]) or "none"
                    raise InputError(f"options of the model: {error}; it has {known}") from error
                raise
        self.declarations = declarations
        self.observed = [
            name for name, site in sites.items() if site["is_observed"] and not isinstance(site["fn"], Unit)
        ]
        latent = {name: site for name, site in sites.items() if not site["is_observed"]}
        if observations is not None and not self.observed:
            raise InputError(
                "no observation that the model can use: it needs a surface velocity or a geodetic balance. Give "
                "gb.Observations(velocity=..., geodetic=...), or add millan_vx and millan_vy to gridded_data.nc or "
                "reference_mb to mb_calib.json of the OGGM directory"
            )
        self._transforms = {name: biject_to(site["fn"].support) for name, site in latent.items()}
        self.names = sorted(latent)  # as JAX flattens a dictionary
        self.shapes = {name: site["value"].shape for name, site in latent.items()}
        template = {
            name: jnp.zeros(jax.eval_shape(self._transforms[name].inv, site["value"]).shape)
            for name, site in latent.items()
        }
        flat, self.unravel = ravel_pytree(template)
        self.dimension = flat.shape[0]

    def _trace(self, model: Callable) -> dict[str, dict]:
        return handlers.trace(model).get_trace(*self.arguments, **self.options)

    def potential(self, vector: Float[Array, " dimension"]) -> Float[Array, ""]:
        """Returns minus the log density of an unconstrained vector; it is not finite where the solve failed."""
        return self.potential_of(self.unravel(vector))

    def potential_of(self, sites: dict[str, Array]) -> Float[Array, ""]:
        """Returns minus the log density of unconstrained sites by name."""
        return jnp.asarray(potential_energy(self.model, self.arguments, self.options, sites))

    def prior_vector(self, key: Array) -> Float[Array, " dimension"]:
        """Returns an unconstrained draw from the prior, (dimension,), without a solve when the caller compiles it.

        The model is traced with its solve, which the draw does not need, so that `jax.jit` removes it.
        """
        trace = self._trace(handlers.seed(self.model, key))
        values = {name: self._transforms[name].inv(trace[name]["value"]) for name in self.names}
        return ravel_pytree(values)[0]

    def evaluate(self, vector: Float[Array, " dimension"], key: Array) -> dict[str, dict[str, Array]]:
        """Evaluates the model at one draw, with one solve.

        Returns:
            "sites": parameters; "derived": deterministics; "log_likelihood", "predictive": by observed site.
        """
        values = {name: self._transforms[name](z) for name, z in self.unravel(vector).items()}
        trace = self._trace(handlers.seed(handlers.substitute(self.model, data=values), key))
        keys = jax.random.split(key, max(len(self.observed), 1))[: len(self.observed)]
        distributions = {name: trace[name]["fn"] for name in self.observed}
        return {
            "sites": {name: jnp.asarray(values[name]) for name in self.names},
            "derived": {n: jnp.asarray(s["value"]) for n, s in trace.items() if s["type"] == "deterministic"},
            "log_likelihood": {n: _pointwise(f, trace[n]["value"]) for n, f in distributions.items()},
            "predictive": {n: f.sample(k) for (n, f), k in zip(distributions.items(), keys, strict=True)},
        }

    def solver_result(self, vector: Float[Array, " dimension"]) -> Int[Array, ""]:
        """The code of the solves at an unconstrained vector, the worst where there are several (`solvers.results`)."""
        values = {name: self._transforms[name](z) for name, z in self.unravel(vector).items()}
        model = handlers.seed(handlers.substitute(self.model, data=values), jax.random.key(0))
        returned = model(*self.arguments, **self.options)
        histories = jax.tree.leaves(returned, is_leaf=lambda one: isinstance(one, History))
        codes = [one.result_code for one in histories if isinstance(one, History)]
        return jnp.max(jnp.stack(codes)) if codes else jnp.zeros((), int)

    def observed_values(self) -> dict[str, np.ndarray]:
        """Returns the observed values by the name of the observed site."""

        def trace(key: Array) -> dict[str, Array]:
            sites = self._trace(handlers.seed(self.model, key))
            return {name: jnp.asarray(sites[name]["value"]) for name in self.observed}

        return {name: np.asarray(value) for name, value in jax.jit(trace)(jax.random.key(0)).items()}


def _pointwise(distribution: Any, value: Array) -> Array:
    """The log density of each entry of the value; of correlated entries, that of each given all others."""
    log_density = getattr(distribution, "pointwise", distribution.log_prob)
    return jnp.asarray(log_density(value))
