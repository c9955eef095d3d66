"""Sites of a model with units and names in words, and what a model states about itself.

A model of several glaciers has its sites once for every glacier, under the name of the glacier:
`glacier2/thickness_scale`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array
from numpyro import handlers

from glacierbayes.declarations import DIVIDER, Declarations, ObservedVariable

_declarations: ContextVar[Declarations | None] = ContextVar("declarations", default=None)
_scope: ContextVar[str] = ContextVar("scope", default="")


@contextlib.contextmanager
def collect_declarations() -> Iterator[Declarations]:
    """Collects the declarations of a model that is traced inside the context."""
    found = Declarations()
    token = _declarations.set(found)
    try:
        yield found
    finally:
        _declarations.reset(token)


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Puts the name and a slash in front of all that is sampled, derived or stated inside: of one of several glaciers.

    Args:
        name: of the glacier, without a slash.
    """
    token = _scope.set(f"{name}{DIVIDER}")
    found = _declarations.get()
    if found is not None and name not in found.glaciers:
        found.glaciers.append(name)
    try:
        with handlers.scope(prefix=name, divider=DIVIDER):
            yield
    finally:
        _scope.reset(token)


def record_provenance(name: str, value: str) -> None:
    """Keeps a statement that a reader of the result must know, in the attributes of the result.

    Args:
        name: the topic, such as "balance_model".
        value: the statement.
    """
    found = _declarations.get()
    if found is not None:
        found.provenance[_scope.get() + name] = value


def sample(name: str, prior: Any, units: str, long_name: str) -> Array:
    """Samples a site, and keeps its unit and its name in words for the result file.

    Args:
        name: of the site.
        prior: a NumPyro distribution.
        units: such as "m yr-1"; "1" where there is no unit.
        long_name: a name in words.
    """
    _describe(name, units, long_name)
    return jnp.asarray(numpyro.sample(name, prior))


def derived(name: str, value: Array, units: str, long_name: str) -> Array:
    """Records a derived value, and keeps its unit and its name in words for the result file.

    Args:
        name: of the site.
        value: an array that follows from sampled sites.
        units: such as "m yr-1"; "1" where there is no unit.
        long_name: a name in words.
    """
    _describe(name, units, long_name)
    return jnp.asarray(numpyro.deterministic(name, value))


def store_function(name: str, grid: dict[str, tuple[np.ndarray, str]], weights: str | None = None) -> None:
    """Declares that a derived variable holds an unknown function on a grid over its inputs.

    Args:
        name: of the variable.
        grid: places along an input and the unit of the input, by the name of the input.
        weights: name of the site that holds the weights of the function; None for none.
    """
    found = _declarations.get()
    if found is not None:
        found.grids[_scope.get() + name] = grid
        if weights is not None:
            found.weights.append(_scope.get() + weights)


def mark_data(name: str, value: float) -> None:
    """Declares that there are data at a value of an input of an unknown function, for its figure.

    Args:
        name: of the input.
        value: of the input, in its unit.
    """
    found = _declarations.get()
    if found is not None:
        found.inputs.setdefault(name, []).append(value)


def store_field(name: str, values: np.ndarray, units: str, long_name: str) -> None:
    """Keeps a further field of the glacier in the result, beside bed and thickness.

    Args:
        name: of the variable.
        values: (y, x) on the grid of the glacier.
        units: of the values.
        long_name: a name in words.
    """
    found = _declarations.get()
    if found is not None:
        found.fields[_scope.get() + name] = (values, units, long_name)


def observed_variable(name: str, describe: Callable[[], ObservedVariable]) -> None:
    """Declares the site of an observation with its dimensions, coordinates and constants.

    Args:
        name: of the site.
        describe: is called only where declarations are collected, outside of the trace, so that it may compute.
    """
    found = _declarations.get()
    if found is None:
        return
    with jax.ensure_compile_time_eval():
        variable = describe()
    found.observed[_scope.get() + name] = variable
    found.units[_scope.get() + name] = (variable.units, variable.long_name)
    found.units[_scope.get() + variable.modelled] = (variable.units, variable.modelled_long_name)


def _describe(name: str, units: str, long_name: str) -> None:
    found = _declarations.get()
    if found is not None:
        found.units[_scope.get() + name] = (units, long_name)
