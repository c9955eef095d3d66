"""What ice feels of a glacier's shape: its thickness, the slope of its surface, and a place that is typical."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.physics.slope import averaged_slope_squared

LEAST_ICE = 5.0  # m; glaciers have more somewhere
# In valley glaciers 1 to 3 (Kamb and Echelmeyer 1986, doi 10.3189/S0022143000015604); their geometric mean.
USUAL_COUPLING = 1.7


def averaging_thicknesses(coupling: Any) -> float | None:
    """Over how many ice thicknesses a slope is averaged, of what an option says; None for not at all.

    Args:
        coupling: None for the local slope, a number, or "inferred", which is taken for a usual one here.

    Raises:
        InputError: another word, or a number that is not above 0.
    """
    if coupling is None:
        return None
    if coupling == "inferred":
        return USUAL_COUPLING
    if not isinstance(coupling, int | float) or not coupling > 0:
        raise InputError(f'option coupling is {coupling!r}, expected a number of ice thicknesses or "inferred"')
    return float(coupling)


def thickness_and_slope(glacier: Glacier, coupling: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """(y, x), m and 1, of a glacier that is not traced, though a model is.

    Args:
        glacier: before any scaling.
        coupling: None for the slope of the surface over three cells, which is no noise of the elevation model; else
            it is the one averaged over that many ice thicknesses, see `averaging_thicknesses`.
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
    """Thickness (m) and slope at which the reference speed is stated: medians over ice thicker than 50 m.

    Args:
        glacier: before any scaling; not traced.
        by_volume: half of the volume is in thicker ice, in the place of half of the area. A velocity says most of thick
            ice, which is fast; where a function of thickness is not known, its speed elsewhere is uncertain.
        coupling: of the slope, see `thickness_and_slope`.

    Raises:
        InputError: no ice, or none that is thick enough to flow.
    """
    thickness, slope = thickness_and_slope(glacier, coupling)
    thick = thickness > 50.0
    thick = thick if thick.any() else thickness > 0
    if not thick.any():
        raise InputError("priors: the glacier has no ice, and so no reference thickness")
    if thickness.max() < LEAST_ICE:
        raise InputError(
            f"priors: the thickest ice has {thickness.max():.3g} m, and {LEAST_ICE:g} m is the least that flows; "
            "the thickness of a Glacier is in m"
        )
    depth, slope = np.sort(thickness[thick]), slope[thick]
    volume = np.cumsum(depth)
    median = depth[np.searchsorted(volume, volume[-1] / 2)] if by_volume else np.median(depth)
    return float(median), float(np.median(slope))
