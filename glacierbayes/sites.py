"""Sites of a model with units and names, and what a model states about itself.

A model of several glaciers has every site once a glacier, under the glacier's name: `glacier2_thickness_scale`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array
from numpyro import handlers

from glacierbayes.declarations import Declarations

_declarations: ContextVar[Declarations | None] = ContextVar("declarations", default=None)
_scope: ContextVar[str] = ContextVar("scope", default="")


@contextlib.contextmanager
def collect_declarations() -> Iterator[Declarations]:
    """Collects what a model states about itself while it runs inside: `state` below, units, grids of functions."""
    found = Declarations()
    token = _declarations.set(found)
    try:
        yield found
    finally:
        _declarations.reset(token)


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """All that is sampled, derived or stated inside has the name and an underscore in front."""
    token = _scope.set(f"{name}_")
    found = _declarations.get()
    if found is not None:
        found.scopes.append(f"{name}_")
    try:
        with handlers.scope(prefix=name, divider="_"):
            yield
    finally:
        _scope.reset(token)


def state(name: str, value: str) -> None:
    """Something that a reader of the result must know, kept in its attributes."""
    found = _declarations.get()
    if found is not None:
        found.provenance[_scope.get() + name] = value


def sample(name: str, prior: Any, units: str, long_name: str) -> Array:
    """`numpyro.sample` with units and a name for the result file."""
    _describe(name, units, long_name)
    return jnp.asarray(numpyro.sample(name, prior))


def derived(name: str, value: Array, units: str, long_name: str) -> Array:
    """`numpyro.deterministic` with units and a name for the result file."""
    _describe(name, units, long_name)
    return jnp.asarray(numpyro.deterministic(name, value))


def keep_function(name: str, grid: dict[str, tuple[np.ndarray, str]], weights: str | None = None) -> None:
    """Notes that a derived variable holds a function on a grid over its inputs.

    Args:
        name: of the variable.
        grid: places and unit, by input.
        weights: name of the site that holds its weights.
    """
    found = _declarations.get()
    if found is not None:
        found.grids[_scope.get() + name] = grid
        if weights is not None:
            found.weights.append(_scope.get() + weights)


def data_at(name: str, value: float) -> None:
    """Notes that there are data at a value of an input of an unknown function, for the figure."""
    found = _declarations.get()
    if found is not None:
        found.inputs.setdefault(name, []).append(value)


def keep_field(name: str, values: np.ndarray, units: str, long_name: str) -> None:
    """Keeps a field (y, x) of the glacier in the result, with its grid."""
    found = _declarations.get()
    if found is not None:
        found.fields[_scope.get() + name] = (values, units, long_name)


def _describe(name: str, units: str, long_name: str) -> None:
    found = _declarations.get()
    if found is not None:
        found.units[_scope.get() + name] = (units, long_name)
