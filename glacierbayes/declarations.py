"""Declarations of a model for the result file: units, dimensions, provenance. This module imports no sampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

DIVIDER = "/"  # between the name of a glacier and the name of its variable, as in `glacier1/thickness_scale`


class Variable(NamedTuple):
    """Values with the names of their dimensions, their unit and a name in words.

    Attributes:
        dims: names of the dimensions, one for each dimension of the values.
        values: an array.
        units: as UDUNITS writes them, such as "m yr-1"; "1" where there is no unit.
        long_name: a name in words, for tables and for the axes of figures.
    """

    dims: Sequence[str]
    values: Any
    units: str
    long_name: str


@dataclass(frozen=True)
class ObservedVariable:
    """Description of the site of one observation in the result file.

    Attributes:
        modelled: name of the variable with the prediction without noise.
        dims: names of the dimensions of the observed values, in order.
        units: unit of the observed and of the predicted values.
        long_name: the observed quantity in words.
        modelled_long_name: the predicted quantity in words.
        statistics: names of the summary statistics of the fit, of `glacierbayes.statistics`.
        coordinates: values along the dimensions, by the name of the dimension.
        constants: further arrays that belong to the data, such as standard errors, by name.
    """

    modelled: str
    dims: tuple[str, ...]
    units: str
    long_name: str
    modelled_long_name: str
    statistics: tuple[str, ...]
    coordinates: dict[str, Variable]
    constants: dict[str, Variable]


@dataclass
class Declarations:
    """What a model declares while it is traced.

    Names of variables that belong to one of several glaciers have the name of the glacier and `DIVIDER` in front.

    Attributes:
        provenance: statements for the attributes of the result, by topic.
        units: unit and long name of variables, by name.
        grids: places along every input, and the unit of the input, by the name of an unknown function.
        weights: names of variables that are the weights of an unknown function.
        inputs: values of an input at which there are data, by the name of the input.
        fields: values (y, x), unit and long name of further fields of a glacier, by name.
        observed: of every observation, by the name of its site.
        glaciers: names of the glaciers, in their order; empty where the model has one glacier without a name.
    """

    provenance: dict[str, str] = field(default_factory=dict)
    units: dict[str, tuple[str, str]] = field(default_factory=dict)
    grids: dict[str, dict[str, tuple[np.ndarray, str]]] = field(default_factory=dict)
    weights: list[str] = field(default_factory=list)
    inputs: dict[str, list[float]] = field(default_factory=dict)
    fields: dict[str, tuple[np.ndarray, str, str]] = field(default_factory=dict)
    observed: dict[str, ObservedVariable] = field(default_factory=dict)
    glaciers: list[str] = field(default_factory=list)
