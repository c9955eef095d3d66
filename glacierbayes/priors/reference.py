"""Thickness and surface slope of a glacier, the geometry that its flow depends on, and their typical values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.physics.slope import averaged_slope_squared

MIN_LARGEST_THICKNESS = 5.0  # m; the thickest ice of a glacier is thicker
# In valley glaciers 1 to 3 (Kamb and Echelmeyer 1986, doi 10.3189/S0022143000015604); their geometric mean.
TYPICAL_COUPLING = 1.7


def averaging_thicknesses(coupling: Any) -> float | None:
    """Returns the number of ice thicknesses over which the slope is averaged; None for the local slope.

    Args:
        coupling: the option: None for the local slope, a number, or "inferred", which stands for a typical number here.

    Raises:
        InputError: the option is another word, or a number that is not above 0.
    """
    if coupling is None:
        return None
    if coupling == "inferred":
        return TYPICAL_COUPLING
    if not isinstance(coupling, int | float) or not coupling > 0:
        raise InputError(f'option coupling is {coupling!r}, expected a number of ice thicknesses or "inferred"')
    return float(coupling)


def thickness_and_slope(glacier: Glacier, coupling: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns ice thickness, m, and surface slope, each (y, x), of a glacier that is not traced by JAX.

    Args:
        glacier: before any scaling.
        coupling: None for the slope of the surface over three cells, which smooths the noise of the elevation model;
            otherwise the slope is averaged over that many ice thicknesses, see `averaging_thicknesses`.
    """
    thicknesses = averaging_thicknesses(coupling)
    with jax.ensure_compile_time_eval():
        thickness, surface = np.asarray(glacier.thickness), np.asarray(glacier.surface)
        dx, dy = float(glacier.dx), float(glacier.dy)
        if thicknesses is not None:
            squared = averaged_slope_squared(
                jnp.asarray(thickness), jnp.asarray(surface), dx, dy, jnp.asarray(thicknesses)
            )
            return thickness, np.sqrt(np.asarray(squared))
    along_y, along_x = np.gradient(surface, dy, dx)
    return thickness, np.hypot(along_x, along_y)


def reference_geometry(glacier: Glacier, by_volume: bool = False, coupling: Any = None) -> tuple[float, float]:
    """Returns thickness (m) and slope at which the reference speed is stated: medians over ice thicker than 50 m.

    Args:
        glacier: before any scaling; not traced.
        by_volume: take the thickness above which half of the volume lies, instead of half of the area. The velocity is
            most informative about thick ice, which is fast; the speed of thin ice depends on an unknown function.
        coupling: of the slope, see `thickness_and_slope`.

    Raises:
        InputError: the glacier has no ice, or none that is thick enough to flow.
    """
    thickness, slope = thickness_and_slope(glacier, coupling)
    thick = thickness > 50.0
    thick = thick if thick.any() else thickness > 0
    if not thick.any():
        raise InputError("priors: the glacier has no ice, and so no reference thickness")
    if thickness.max() < MIN_LARGEST_THICKNESS:
        raise InputError(
            f"priors: the thickest ice has {thickness.max():.3g} m, and {MIN_LARGEST_THICKNESS:g} m is the least that "
            "flows; the thickness of a Glacier is in m"
        )
    depth, slope = np.sort(thickness[thick]), slope[thick]
    volume = np.cumsum(depth)
    median = depth[np.searchsorted(volume, volume[-1] / 2)] if by_volume else np.median(depth)
    return float(median), float(np.median(slope))
