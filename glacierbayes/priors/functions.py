"""Priors of unknown functions of one or two inputs, and the inputs that a glacier has."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from glacierbayes import functions
from glacierbayes.distributions import inverse_gamma
from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.priors.reference import thickness_and_slope
from glacierbayes.sites import derived, sample, store_field, store_function

FAMILIES = {
    "spline": functions.Spline,
    "gaussian_process": functions.GaussianProcess,
    "neural_network": functions.NeuralNetwork,
}
GRID_SIZES = {1: (30,), 2: (6, 5)}  # of the grid on which values of a function are recorded and checked, by inputs
MIN_LENGTH_RATIO, MAX_LENGTH_RATIO = 0.5, 2.0  # of an inferred length over that of the input


class Input(NamedTuple):
    """An input of an unknown function.

    Attributes:
        name: of the input, such as "thickness".
        low, high: ends of the range that matters, in `units`.
        length: correlation length of the function along the input, in `units`.
        units: of the input.
    """

    name: str
    low: float
    high: float
    length: float
    units: str


def unknown_function(
    name: str,
    family: str | type[functions.FunctionFamily],
    inputs: tuple[Input, ...],
    scale: float,
    long_name: str,
    lengths: str = "fixed",
    zero_at: tuple[Any, ...] | None = None,
) -> functions.UnknownFunction:
    """Samples an unknown function of one or two inputs, with mean 0 and standard deviation `scale` a priori.

    Its weights are the site `NAME_weights`; they are not identified one by one, and `check` does not judge them. Its
    values on a grid over the inputs are recorded as NAME. Lengths that are inferred are the sites `NAME_length_INPUT`,
    from half to twice that of the input; more weights are needed then (too many for a Gaussian process of two inputs:
    take a spline).

    Args:
        name: of the function in the result.
        family: "spline", "gaussian_process" or "neural_network"; or a subclass of `gb.functions.FunctionFamily`, which
            is called as `Family(ranges, scale, lengths)`, with `shortest` and `longest` where lengths are inferred.
        inputs: one or two.
        scale: prior standard deviation of its values, which are logarithms of a factor.
        long_name: for the result file.
        lengths: "fixed" or "inferred".
        zero_at: one number for each input, where the function is 0. Where it multiplies an unknown parameter, the data
            do not identify the levels of both, and a sampler drifts along them. Elsewhere the function is then a
            difference of two values, up to 1.4 times as wide a priori.

    Raises:
        InputError: the family is unknown, or `lengths` is another word.
    """
    constructor: Any = FAMILIES.get(family) if isinstance(family, str) else family
    if constructor is None:
        raise InputError(f'option family is "{family}", expected {", ".join(map(repr, FAMILIES))}')
    if lengths not in ("fixed", "inferred"):
        raise InputError(f'option lengths is "{lengths}", expected "fixed" or "inferred"')
    short, long = (tuple(share * i.length for i in inputs) for share in (MIN_LENGTH_RATIO, MAX_LENGTH_RATIO))
    over: tuple[Any, ...] = tuple(i.length for i in inputs)
    if lengths == "inferred":
        over = tuple(
            sample(f"{name}_length_{i.name}", inverse_gamma(a, b), i.units, f"length of {long_name} along {i.name}")
            for i, a, b in zip(inputs, short, long, strict=True)
        )
    between = {"shortest": short, "longest": long} if lengths == "inferred" else {}
    of = constructor(tuple((i.low, i.high) for i in inputs), scale, over, **between)
    weights = sample(f"{name}_weights", dist.Normal().expand([of.size]).to_event(1), "1", f"weights of {long_name}")
    function = functions.UnknownFunction(of, weights)
    function = function if zero_at is None else function.zero_at(*zero_at)
    axes = [_places(i, count) for i, count in zip(inputs, GRID_SIZES[len(inputs)], strict=True)]
    derived(name, function(*map(jnp.asarray, np.meshgrid(*axes, indexing="ij"))), "1", long_name)
    grid = {i.name: (axis, i.units) for i, axis in zip(inputs, axes, strict=True)}
    store_function(name, grid, weights=f"{name}_weights")
    return function


def _places(along: Input, count: int) -> np.ndarray:
    """Evenly spaced values of an input from its lowest to its highest, (count,), in its unit.

    They are rounded to three digits of their spacing, since they name rows of tables.
    """
    places, step = np.linspace(along.low, along.high, count, retstep=True)
    return np.round(places, 2 - int(np.floor(np.log10(step))))


def thickness_and_slope_inputs(glacier: Glacier, coupling: Any = None, share: float = 0.5) -> tuple[Input, Input]:
    """Returns thickness and slope as inputs of an unknown function, with the ranges of the glacier.

    Thickness to one and a half times the thickest ice, for the thickness is uncertain; slope to the 99th percentile.

    Args:
        glacier: not traced.
        coupling: over how many thicknesses the law's slope is averaged, as `average_slope` takes it.
        share: of the range, over which the function may turn: its length.
    """
    thickness, slope = thickness_and_slope(glacier, coupling)
    store_field("slope", slope, "1", "slope of the surface that the unknown function is given")
    slope = slope[thickness > 0]
    if slope.size == 0:
        raise InputError("priors: the glacier has no ice, and so no range of thickness and slope")
    deep, steep = 1.5 * float(thickness.max()), float(np.quantile(slope, 0.99))
    return Input("thickness", 0.0, deep, share * deep, "m"), Input("slope", 0.0, steep, share * steep, "1")
