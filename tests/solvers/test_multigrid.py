"""The preconditioner of the implicit solver, against the matrix it stands for."""

import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.solvers import multigrid
from glacierbayes.solvers.gcr import gcr

RNG = np.random.default_rng(3)


def faces(rows: int, columns: int, strength: float, advection: float) -> multigrid.Faces:
    """Rough diffusion, and a flow that at most cancels what diffusion gives back; nothing passes the edge."""
    diffusion = strength * RNG.lognormal(0.0, 1.0, (2, rows, columns))
    diffusion[0, :, -1] = diffusion[1, -1] = 0.0
    flow = advection * diffusion * RNG.uniform(-1.0, 1.0, diffusion.shape)
    parts = (diffusion[0] + flow[0], flow[0] - diffusion[0], diffusion[1] + flow[1], flow[1] - diffusion[1])
    return multigrid.Faces(*map(jnp.asarray, parts))


def dense(grid: multigrid.Grid) -> np.ndarray:
    columns = [grid.centre * unit + grid.others(unit) for unit in jnp.eye(grid.centre.size, dtype=grid.centre.dtype)]
    return np.asarray(columns).T


def test_the_transpose_is_one():
    grids = multigrid.hierarchy(faces(11, 9, 3.0, 0.8))
    for grid, turned in zip(grids, multigrid.transposed(grids), strict=True):
        assert np.allclose(dense(turned), dense(grid).T, rtol=0, atol=1e-5)


def test_what_flows_comes_from_somewhere():
    """Columns sum up to 1 on every grid: the matrix keeps mass."""
    for grid in multigrid.hierarchy(faces(16, 16, 3.0, 0.8)):
        assert np.allclose(dense(grid).sum(0), 1.0, atol=1e-4)


@pytest.mark.parametrize("cells", [16, 64, 128])
@pytest.mark.parametrize("strength", [0.1, 10.0, 300.0])
def test_few_cycles_solve_on_any_grid(cells, strength):
    """Ten digits within the most steps of a linear solve; 300 is half a year of Aletsch at 200 m."""
    part = faces(cells, cells + 5, strength, 0.1)
    grids = multigrid.hierarchy(part)
    fine, shape = grids[0], part.x_first.shape

    def product(vector):
        room = [(0, n - m) for n, m in zip(fine.shape, shape, strict=True)]
        whole = jnp.pad(vector.reshape(shape), room).ravel()
        return (fine.centre * whole + fine.others(whole)).reshape(fine.shape)[: shape[0], : shape[1]].ravel()

    right = jnp.asarray(RNG.normal(size=cells * (cells + 5)))
    found = gcr(product, lambda field: multigrid.cycle(grids, field.reshape(shape)).ravel(), right, 1e-10)
    assert jnp.linalg.norm(right - product(found)) <= 2e-10 * jnp.linalg.norm(right)
