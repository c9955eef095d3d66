"""Velocity in blocks: which cells count, their means, the likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
import scipy.stats

from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.laws import WeertmanSliding
from glacierbayes.observations.correlated import CorrelatedStudentT
from glacierbayes.observations.velocity import Velocity
from glacierbayes.solvers.history import History

ROWS, COLUMNS = 7, 9
X, Y = 1000.0 + 100.0 * np.arange(COLUMNS), 5000.0 - 100.0 * np.arange(ROWS)
RNG = np.random.default_rng(2)


@pytest.fixture
def glacier() -> Glacier:
    """7 by 9 cells, ice but in the last two columns."""
    thickness = np.where(np.arange(COLUMNS) < 7, RNG.uniform(50.0, 150.0, (ROWS, COLUMNS)), 0.0)
    bed = 3000.0 - 0.1 * X + 0.05 * Y[:, None]
    return Glacier(bed=bed, thickness=thickness, x=X, y=Y)


@pytest.fixture
def components() -> tuple[np.ndarray, np.ndarray]:
    """With gaps: one cell of block (0, 0), in one component only, and most of block (1, 1)."""
    vx, vy = RNG.normal(20.0, 5.0, (2, ROWS, COLUMNS))
    vx[0, 1] = np.nan
    vy[3:6, 3:5] = np.nan
    return vx, vy


def blocks_by_hand(glacier: Glacier, vx: np.ndarray, vy: np.ndarray) -> list[np.ndarray]:
    """Cells of each block of 3 by 3 that is covered by half, row by row."""
    counts = (np.asarray(glacier.thickness) > 0) & np.isfinite(vx) & np.isfinite(vy)
    blocks = []
    for row in range(0, ROWS, 3):
        for column in range(0, COLUMNS, 3):
            cells = np.zeros((ROWS, COLUMNS), bool)
            cells[row : row + 3, column : column + 3] = True
            if (cells & counts).sum() >= 4.5:
                blocks.append(cells & counts)
    return blocks


def test_blocks(glacier, components):
    vx, vy = components
    sigma = RNG.uniform(2.0, 6.0, vx.shape)
    velocity = Velocity.from_grid(vx, vy, glacier, 2018.0, sigma=sigma, block_size=310.0)
    blocks = blocks_by_hand(glacier, vx, vy)
    # of the 3 by 3 blocks the third column is short of ice, the third row of cells, (1, 1) of data
    assert len(blocks) == 3
    assert velocity.velocity.shape == velocity.sigma.shape == (3, 2)
    ys, xs = np.meshgrid(Y, X, indexing="ij")
    for i, cells in enumerate(blocks):
        assert np.array_equal(np.asarray(velocity.block) == i, cells)
        assert np.allclose(velocity.velocity[i], [vx[cells].mean(), vy[cells].mean()], rtol=1e-13)
        assert np.allclose(velocity.sigma[i], sigma[cells].mean(), rtol=1e-13)
        assert float(velocity.x[i]) == pytest.approx(xs[cells].mean())
        assert float(velocity.y[i]) == pytest.approx(ys[cells].mean())
        assert float(velocity.ice_thickness[i]) == pytest.approx(np.asarray(glacier.thickness)[cells].mean())
    assert not np.asarray(velocity.block)[0, 1] >= 0
    assert velocity.years == (2018.0,)


def test_blocks_are_square_on_the_ground_where_cells_are_not():
    bed = np.zeros((8, 8))
    glacier = Glacier(bed=bed, thickness=bed + 100.0, x=100.0 * np.arange(8), y=50.0 * np.arange(8))
    velocity = Velocity.from_grid(bed + 3.0, bed + 4.0, glacier, 2018.0, block_size=200.0)
    block = np.asarray(velocity.block)
    assert block.tolist() == [[4 * (row // 4) + column // 2 for column in range(8)] for row in range(8)]


def test_block_means_of_any_field(glacier, components):
    velocity = Velocity.from_grid(*components, glacier, 2018.0, block_size=300.0)
    field = RNG.normal(size=(ROWS, COLUMNS))
    expected = [field[cells].mean() for cells in blocks_by_hand(glacier, *components)]
    assert np.allclose(velocity.block_mean(jnp.asarray(field)), expected, rtol=1e-12)


def test_nothing_covered(glacier):
    nothing, still = np.full((ROWS, COLUMNS), np.nan), np.ones((ROWS, COLUMNS))
    with pytest.raises(InputError, match="0 cells of the grid have both"):
        Velocity.from_grid(nothing, nothing, glacier, 2018.0)
    with pytest.raises(InputError, match="no block of 1000 m"):  # it would be larger than the grid
        Velocity.from_grid(still, still, glacier, 2018.0)


def test_masked_cells_are_missing(glacier):
    field, masked = np.full((ROWS, COLUMNS), 3.0), np.zeros((ROWS, COLUMNS), bool)
    masked[0] = True
    one = Velocity.from_grid(*(np.where(masked, np.nan, field),) * 2, glacier, 2018.0, block_size=300.0)
    other = Velocity.from_grid(*(np.ma.array(np.where(masked, -9999, field), mask=masked),) * 2, glacier, 2018.0,
                               block_size=300.0)  # fmt: skip
    np.testing.assert_array_equal(one.velocity, other.velocity)
    np.testing.assert_array_equal(one.block, other.block)


@pytest.mark.parametrize(
    ("sigma", "said"),
    [
        (-1.0, "sigma is -1 m"),
        (0.0, "sigma is 0 m"),
        (np.full((ROWS, COLUMNS), np.nan), "is nan"),
        (np.ones(3), "shape"),
    ],
    ids=["negative", "zero", "not a number", "shape"],
)
def test_errors_are_positive_numbers(glacier, sigma, said):
    field = np.ones((ROWS, COLUMNS))
    with pytest.raises(InputError, match=said):
        Velocity.from_grid(field, field, glacier, 2018.0, sigma=sigma, block_size=300.0)


def test_another_grid_is_bad_input(glacier):
    with pytest.raises(InputError, match=r"vy has shape \(9, 7\), expected the glacier's \(7, 9\)"):
        Velocity.from_grid(np.ones((ROWS, COLUMNS)), np.ones((COLUMNS, ROWS)), glacier, 2018.0)


@pytest.fixture
def history(glacier) -> History:
    zero = jnp.zeros(())
    thickness = jnp.stack([glacier.thickness, 0.9 * glacier.thickness])
    law = WeertmanSliding(1e-20)
    return History((2000.0, 2018.0), thickness, zero, zero, zero, jnp.array(0), glacier, law)


def test_predict(glacier, components, history):
    velocity = Velocity.from_grid(*components, glacier, 2018.0, block_size=300.0)
    vx, vy = (np.asarray(v) for v in history.surface_velocity(2018.0))
    expected = [[vx[cells].mean(), vy[cells].mean()] for cells in blocks_by_hand(glacier, *components)]
    assert np.allclose(velocity.predict(history), expected, rtol=1e-12)
    assert np.any(np.abs(expected) > 1.0)


def covariance_by_hand(velocity: Velocity, sigma: float, discrepancy: np.ndarray, length: float) -> np.ndarray:
    places = np.stack([velocity.x, velocity.y], -1)
    distance = np.linalg.norm(places[:, None] - places, axis=-1)
    return sigma**2 * np.eye(len(places)) + np.outer(discrepancy, discrepancy) * np.exp(-distance / length)


@pytest.mark.parametrize("relative", [0.0, 0.3])
def test_likelihood_is_correlated_student_t(glacier, components, history, relative):
    velocity = Velocity.from_grid(*components, glacier, 2018.0, sigma=3.0, block_size=300.0)
    errors = {"discrepancy": 4.0, "correlation_length": 500.0, "degrees_of_freedom": 5.0, "relative": relative}
    trace = numpyro.handlers.trace(lambda: velocity.observe(history, errors)).get_trace()
    site = trace["velocity"]
    speed = np.linalg.norm(velocity.predict(history), axis=-1)
    assert np.ptp(speed) > 1.0
    covariance = covariance_by_hand(velocity, 3.0, np.hypot(4.0, relative * speed), 500.0)
    expected = [
        scipy.stats.multivariate_t(velocity.predict(history)[:, c], covariance, df=5.0).logpdf(velocity.velocity[:, c])
        for c in (0, 1)
    ]
    assert np.allclose(site["fn"].log_prob(site["value"]), sum(expected), rtol=1e-12)
    assert np.array_equal(trace["modelled_velocity"]["value"], velocity.predict(history))


def test_pointwise_likelihood_is_each_block_given_the_others():
    root = RNG.normal(size=(2, 4, 4))
    covariance = root @ root.transpose(0, 2, 1) + np.eye(4)
    location, value = RNG.normal(size=(2, 4, 2))
    found = CorrelatedStudentT(6.0, location, covariance).pointwise(jnp.asarray(value))
    for block in range(4):
        others = np.arange(4) != block
        expected = 0.0
        for c in (0, 1):
            whole = scipy.stats.multivariate_t(location[:, c], covariance[c], df=6.0).logpdf(value[:, c])
            rest = scipy.stats.multivariate_t(location[others, c], covariance[c][np.ix_(others, others)], df=6.0)
            expected += whole - rest.logpdf(value[others, c])
        assert float(found[block]) == pytest.approx(expected, rel=1e-10)


def test_draws_have_the_covariance_of_the_scale_matrix():
    covariance = np.array([[[4.0, 1.5], [1.5, 1.0]], [[1.0, 0.0], [0.0, 9.0]]])
    location = np.array([[1.0, 2.0], [3.0, 4.0]])
    # kurtosis 4: the error of a variance over 200,000 draws is 0.4 %, 3 % would be 7 of them (chance below 1e-10)
    draws = np.asarray(CorrelatedStudentT(10.0, location, covariance).sample(jax.random.key(3), (200_000,)))
    for c in (0, 1):
        assert np.allclose(draws[..., c].mean(0), location[:, c], atol=0.05)
        scales = np.sqrt(np.diag(covariance[c]))
        found = np.cov(draws[..., c].T) / np.outer(scales, scales)
        assert np.allclose(found, covariance[c] / np.outer(scales, scales) * 10 / 8, atol=0.0375)


def test_a_date_that_the_run_did_not_save(glacier, components, history):
    with pytest.raises(ValueError, match="save_at"):
        Velocity.from_grid(*components, glacier, 2017.0, block_size=300.0).predict(history)
