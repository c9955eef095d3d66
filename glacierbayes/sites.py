"""Sites of a model with units and names, and what a model states about itself.

A model of several glaciers has every site once a glacier, under the glacier's name: `glacier2_thickness_scale`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array
from numpyro import handlers

from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.observations.observations import Observations


@dataclass
class Statements:
    """What a model says of itself.

    Attributes:
        said: by topic, for the attributes of the result.
        units: unit and long name of variables, by name.
        grids: of unknown functions, by name: places and unit of every input.
        weights: names of variables that are weights of a function.
        inputs: where along the input of a function there are data, by the input's name.
        fields: of a glacier, by name: values (y, x), unit and long name.
        scopes: what stands before the names of each glacier's sites, in the order of the glaciers.
    """

    said: dict[str, str] = field(default_factory=dict)
    units: dict[str, tuple[str, str]] = field(default_factory=dict)
    grids: dict[str, dict[str, tuple[np.ndarray, str]]] = field(default_factory=dict)
    weights: list[str] = field(default_factory=list)
    inputs: dict[str, list[float]] = field(default_factory=dict)
    fields: dict[str, tuple[np.ndarray, str, str]] = field(default_factory=dict)
    scopes: list[str] = field(default_factory=list)


_statements: ContextVar[Statements | None] = ContextVar("statements", default=None)
_scope: ContextVar[str] = ContextVar("scope", default="")


@contextlib.contextmanager
def statements() -> Iterator[Statements]:
    """Collects what a model states about itself while it runs inside: `state` below, units, grids of functions."""
    found = Statements()
    token = _statements.set(found)
    try:
        yield found
    finally:
        _statements.reset(token)


def several(glacier: Any, observations: Any) -> list[tuple[str, Glacier, Observations | None]]:
    """Names for the glaciers of a model, each with its glacier and its observations.

        for name, one, seen in priors.several(glacier, observations):
            with priors.scope(name):
                scale = priors.thickness_scale()  # the sites glacier1_thickness_scale, glacier2_thickness_scale ...

    Args:
        glacier: one or a tuple.
        observations: of each, one or a tuple; None for none at all.

    Raises:
        InputError: more or fewer observations than glaciers.
    """
    glaciers = glacier if isinstance(glacier, tuple | list) else (glacier,)
    seen = observations if isinstance(observations, tuple | list) else (observations,) * len(glaciers)
    if len(seen) != len(glaciers):
        raise InputError(f"{len(glaciers)} glaciers and {len(seen)} sets of observations: give one of each")
    return [(f"glacier{i + 1}", one, its) for i, (one, its) in enumerate(zip(glaciers, seen, strict=True))]


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """All that is sampled, derived or stated inside has the name and an underscore in front."""
    token = _scope.set(f"{name}_")
    found = _statements.get()
    if found is not None:
        found.scopes.append(f"{name}_")
    try:
        with handlers.scope(prefix=name, divider="_"):
            yield
    finally:
        _scope.reset(token)


def state(name: str, value: str) -> None:
    """Something that a reader of the result must know, kept in its attributes."""
    found = _statements.get()
    if found is not None:
        found.said[_scope.get() + name] = value


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
    found = _statements.get()
    if found is not None:
        found.grids[_scope.get() + name] = grid
        if weights is not None:
            found.weights.append(_scope.get() + weights)


def data_at(name: str, value: float) -> None:
    """Notes that there are data at a value of an input of an unknown function, for the figure."""
    found = _statements.get()
    if found is not None:
        found.inputs.setdefault(name, []).append(value)


def keep_field(name: str, values: np.ndarray, units: str, long_name: str) -> None:
    """Keeps a field (y, x) of the glacier in the result, with its grid."""
    found = _statements.get()
    if found is not None:
        found.fields[_scope.get() + name] = (values, units, long_name)


def _describe(name: str, units: str, long_name: str) -> None:
    found = _statements.get()
    if found is not None:
        found.units[_scope.get() + name] = (units, long_name)
