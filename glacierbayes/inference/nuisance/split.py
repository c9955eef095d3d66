"""A density in two parts: the run of the glacier, and what depends on the run and on nuisance parameters only.

Nuisance parameters, such as scale and length of an observation's error, enter no run. Given the run their density costs
next to nothing, so that they can be updated many times for one gradient: see `gibbs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal, jaxpr_as_fun, jaxprs_in_params
from jaxtyping import Array, Float, Int

from glacierbayes.inference.problem import Problem

# primitives of a time integration, which is a loop or has a derivative of its own
RUN_PRIMITIVES = ("while", "scan", "custom_vjp_call", "custom_jvp_call")


class Split:
    """The potential of a problem in two parts, by the dependence of each equation of its jaxpr on the parameters.

    Attributes:
        nuisance: indices of the nuisance parameters in the vector.
        names: names of their sites.
    """

    nuisance: Int[np.ndarray, " m"]
    names: list[str]

    def __init__(self, problem: Problem):
        """Traces the potential without running it."""
        template = jax.eval_shape(problem.unravel, jnp.zeros(problem.dimension))
        parts, names = [template[name] for name in problem.names], problem.names
        closed = jax.make_jaxpr(lambda parts: problem.potential_of(dict(zip(names, parts, strict=True))))(parts)
        whole = closed.jaxpr
        needs = _dependencies(whole, names)
        runs = frozenset().union(*(sites for eqn, sites in zip(whole.eqns, needs, strict=True) if _is_run(eqn)))
        self.names = [name for name in names if name not in runs]
        is_nuisance = np.repeat([name in self.names for name in names], [part.size for part in parts])
        self.nuisance = np.flatnonzero(is_nuisance)  # the vector has the parts in this order

        after = [eqn for eqn, sites in zip(whole.eqns, needs, strict=True) if sites & {*self.names}]
        before = [eqn for eqn, sites in zip(whole.eqns, needs, strict=True) if not sites & {*self.names}]
        own = [var for var, name in zip(whole.invars, names, strict=True) if name in self.names]
        others = [var for var in whole.invars if var not in own]
        made = {*others, *(var for eqn in before for var in eqn.outvars)}
        used = [var for eqn in after for var in eqn.invars if not isinstance(var, Literal)]
        between = list(dict.fromkeys(var for var in (*used, *whole.outvars) if var in made))
        self._problem = problem
        self._first = _function_of(closed, before, others, between)
        self._second = _function_of(closed, after, [*own, *between], whole.outvars)

    def run(self, vector: Float[Array, " n"]) -> list[Array]:
        """Returns the outputs of the first part that the second part uses, for a vector."""
        parts = self._problem.unravel(vector)
        return self._first(*(parts[name] for name in self._problem.names if name not in self.names))

    def potential(self, vector: Float[Array, " n"], known: list[Array]) -> Float[Array, ""]:
        """Returns `Problem.potential` of a vector.

        Args:
            vector: unconstrained parameters.
            known: the result of `run` for a vector that differs from it only in nuisance parameters.
        """
        parts = self._problem.unravel(vector)
        return jnp.asarray(self._second(*(parts[name] for name in self.names), *known)[0])


def _dependencies(jaxpr: Jaxpr, names: Sequence[str]) -> list[frozenset[str]]:
    """Returns the names of the parameters on which each equation depends."""
    by: dict[Any, frozenset[str]] = {var: frozenset({name}) for var, name in zip(jaxpr.invars, names, strict=True)}
    by.update((var, frozenset()) for var in jaxpr.constvars)
    dependencies: list[frozenset[str]] = []
    for eqn in jaxpr.eqns:
        dependencies.append(frozenset().union(*(by[var] for var in eqn.invars if not isinstance(var, Literal))))
        by.update((var, dependencies[-1]) for var in eqn.outvars)
    return dependencies


def _is_run(eqn: Any) -> bool:
    """Whether an equation, or one inside it, is a time integration."""
    inside = (one for inner in jaxprs_in_params(eqn.params) for one in inner.eqns)
    return eqn.primitive.name in RUN_PRIMITIVES or any(map(_is_run, inside))


def _function_of(closed: Any, eqns: list, inputs: list, outputs: Sequence) -> Any:
    """Returns some equations of a closed jaxpr as a function of `inputs` that computes `outputs`."""
    used = {var for eqn in eqns for var in eqn.invars if not isinstance(var, Literal)} | {*outputs}
    pairs = zip(closed.jaxpr.constvars, closed.consts, strict=True)
    used_constants = [(var, value) for var, value in pairs if var in used]
    names = [var for var, _ in used_constants]
    ends = {"arg_names": ("",) * len(inputs), "result_paths": ("",) * len(outputs)}
    info = closed.jaxpr.debug_info._replace(**ends)
    part = closed.jaxpr.replace(eqns=eqns, invars=inputs, outvars=[*outputs], constvars=names, debug_info=info)
    return jaxpr_as_fun(closed.replace(jaxpr=part, consts=[value for _, value in used_constants]))
