"""The derivative of the flux's divergence as a stencil: what JAX makes of it, and its transpose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.glacier import Glacier
from glacierbayes.laws import Correction, Glen, WeertmanSliding

from ..glaciers import rough
from .test_sia import LAW, equation_of

CORRECTED = Glen(A=2.4e-24, n=2.7) * Correction(lambda thickness, slope: jnp.tanh(thickness / 100.0) - slope)
FILM = 5.0  # m, within the range in which ice makes its slope count in proportion


def thin(seed: int) -> Glacier:
    """Films beside patches of ice beside rock."""
    ice, rng = rough(seed), np.random.default_rng(seed)
    film = jnp.asarray(rng.uniform(0.0, FILM, ice.bed.shape))
    return Glacier(
        bed=ice.bed, thickness=jnp.where(rng.random(film.shape) < 0.5, film, ice.thickness), x=ice.x, y=ice.y
    )


@pytest.mark.parametrize("law", [LAW, CORRECTED, WeertmanSliding(C=1e-20)], ids=["both", "corrected", "sliding"])
@pytest.mark.parametrize("glacier", [rough(0), thin(1)], ids=["rough", "thin"])
def test_derivative_of_the_divergence(glacier, law):
    equation, thickness = equation_of(glacier, law)
    equation = equation.under(equation.near(thickness, transposed=False))
    layout, rng = equation.layout, np.random.default_rng(3)
    cells = layout.cells(glacier.thickness)
    v, u = (jnp.asarray(rng.normal(size=cells.shape)) for _ in range(2))

    def divergence(h):
        return equation.divergence(equation.flux(layout.state(h)))

    _, expected = jax.jvp(divergence, (cells,), (v,))
    stencil = equation.derivative(thickness)
    size = float(jnp.max(jnp.abs(expected)))
    assert size > 0
    assert np.allclose(stencil(v), expected, rtol=1e-10, atol=1e-13 * size)

    back = jax.vjp(divergence, cells)[1](u)[0]
    size = float(jnp.max(jnp.abs(back)))
    assert np.allclose(stencil.transposed()(u), back, rtol=1e-10, atol=1e-13 * size)

    moving = jnp.asarray((rng.random(cells.shape) < 0.7).astype(float))
    step = v + 0.3 * stencil(moving * v)
    assert np.allclose(stencil.step(jnp.asarray(0.3), moving)(v), step, rtol=1e-10, atol=1e-13 * size)


def test_coupling_is_the_derivative_by_the_own_cells_where_ice_is_thick():
    """With ice everywhere thicker than a film and level along the face, nothing of the derivative is left out."""
    ice = rough(0)
    bed = 3000.0 - 0.2 * jnp.broadcast_to(ice.x, ice.bed.shape)
    glacier = Glacier(bed=bed, thickness=jnp.full(bed.shape, 100.0), x=ice.x, y=ice.y)
    equation, thickness = equation_of(glacier)
    layout = equation.layout
    first, second, *_ = equation.coupling(thickness)
    middle = (10, 12)
    at = layout.cells(jnp.zeros(glacier.bed.shape).at[middle].set(1.0))
    _, moved = jax.jvp(lambda h: equation.flux(layout.state(h)), (layout.cells(glacier.thickness),), (at,))
    through = layout.grid(layout.shift(moved.x, 0))
    assert float(through[middle]) == pytest.approx(float(layout.grid(layout.shift(first, 0))[middle]), rel=1e-9)
    before = (middle[0], middle[1] - 1)
    assert float(through[before]) == pytest.approx(float(layout.grid(layout.shift(second, 0))[before]), rel=1e-9)
