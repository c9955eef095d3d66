"""Sites of a model with units and long names, and declarations of a model for the result file.

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
    """Collects the declarations of a model that is traced inside the context, and yields them."""
    declarations = Declarations()
    token = _declarations.set(declarations)
    try:
        yield declarations
    finally:
        _declarations.reset(token)


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Prefixes every site, derived value and declaration inside with the name of one of several glaciers and a slash.

    Args:
        name: of the glacier, without a slash.
    """
    token = _scope.set(f"{name}{DIVIDER}")
    declarations = _declarations.get()
    if declarations is not None and name not in declarations.glaciers:
        declarations.glaciers.append(name)
    try:
        with handlers.scope(prefix=name, divider=DIVIDER):
            yield
    finally:
        _scope.reset(token)


def record_provenance(name: str, value: str) -> None:
    """Records a statement about how the model was built, for the attributes of the result.

    It is called inside a model function. Outside of a run of `infer` it does nothing; a second statement of the same
    name replaces the first.

    Args:
        name: the topic, such as "balance_model".
        value: the statement.
    """
    declarations = _declarations.get()
    if declarations is not None:
        declarations.provenance[_scope.get() + name] = value


def sample(name: str, prior: Any, units: str, long_name: str) -> Array:
    """Samples a site and records its unit and long name for the result file.

    Args:
        name: of the site.
        prior: a NumPyro distribution.
        units: such as "m yr-1"; "1" where there is no unit.
        long_name: a name in words.
    """
    _describe(name, units, long_name)
    return jnp.asarray(numpyro.sample(name, prior))


def derived(name: str, value: Array, units: str, long_name: str) -> Array:
    """Records a derived value with its unit and long name for the result file.

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
    declarations = _declarations.get()
    if declarations is not None:
        declarations.grids[_scope.get() + name] = grid
        if weights is not None:
            declarations.weights.append(_scope.get() + weights)


def mark_data(name: str, value: float) -> None:
    """Declares that there are data at a value of an input of an unknown function, for its figure.

    Args:
        name: of the input.
        value: of the input, in its unit.
    """
    declarations = _declarations.get()
    if declarations is not None:
        declarations.inputs.setdefault(name, []).append(value)


def store_field(name: str, values: np.ndarray, units: str, long_name: str) -> None:
    """Records a further field of the glacier for the result, beside bed and thickness.

    Args:
        name: of the variable.
        values: (y, x) on the grid of the glacier.
        units: of the values.
        long_name: a name in words.
    """
    declarations = _declarations.get()
    if declarations is not None:
        declarations.fields[_scope.get() + name] = (values, units, long_name)


def observed_variable(name: str, describe: Callable[[], ObservedVariable]) -> None:
    """Declares the site of an observation with its dimensions, coordinates and constants.

    Args:
        name: of the site.
        describe: is called only where declarations are collected, outside of the trace, so that it may compute.
    """
    declarations = _declarations.get()
    if declarations is None:
        return
    with jax.ensure_compile_time_eval():
        variable = describe()
    declarations.observed[_scope.get() + name] = variable
    declarations.units[_scope.get() + name] = (variable.units, variable.long_name)
    declarations.units[_scope.get() + variable.modelled] = (variable.units, variable.modelled_long_name)


def _describe(name: str, units: str, long_name: str) -> None:
    declarations = _declarations.get()
    if declarations is not None:
        declarations.units[_scope.get() + name] = (units, long_name)
