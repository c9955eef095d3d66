"""What a model declares about itself, as the result file keeps it: a leaf that knows no sampler."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Declarations:
    """What a model declares while it runs.

    Attributes:
        provenance: by topic, for the attributes of the result.
        units: unit and long name of variables, by name.
        grids: of unknown functions, by name: places and unit of every input.
        weights: names of variables that are weights of a function.
        inputs: where along the input of a function there are data, by the input's name.
        fields: of a glacier, by name: values (y, x), unit and long name.
        scopes: what stands before the names of each glacier's sites, in the order of the glaciers.
    """

    provenance: dict[str, str] = field(default_factory=dict)
    units: dict[str, tuple[str, str]] = field(default_factory=dict)
    grids: dict[str, dict[str, tuple[np.ndarray, str]]] = field(default_factory=dict)
    weights: list[str] = field(default_factory=list)
    inputs: dict[str, list[float]] = field(default_factory=dict)
    fields: dict[str, tuple[np.ndarray, str, str]] = field(default_factory=dict)
    scopes: list[str] = field(default_factory=list)
