"""What holds on any bed: hypothesis looks for one where it does not."""

from functools import cache

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glacierbayes.glacier import Glacier
from glacierbayes.laws import Glen
from glacierbayes.physics.mass_balance import LinearGradient
from glacierbayes.solvers.simulate import simulate
from glacierbayes.solvers.stepping import TOLERANCE

pytestmark = pytest.mark.run

CELLS, CELL = 12, 100.0
AXIS = CELL * np.arange(CELLS)
EXAMPLES = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)


@st.composite
def beds(draw, roughness=(0.0, 150.0)):
    """A tilted, rough bed with patches of ice, and the creep parameter."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tilt = draw(st.floats(-0.5, 0.5)), draw(st.floats(-0.5, 0.5))
    rough = draw(st.floats(*roughness))
    bed = 3000.0 + tilt[0] * AXIS + tilt[1] * AXIS[:, None] + rng.normal(0.0, rough, (CELLS, CELLS))
    thickness = rng.uniform(0.0, 250.0, bed.shape) * (rng.random(bed.shape) < draw(st.floats(0.1, 1.0)))
    return bed, thickness, draw(st.sampled_from([0.1e-24, 2.4e-24, 50e-24]))


@cache
def _run(years: float):
    def run(glacier, creep, balance, tolerance):
        return simulate(glacier, Glen(creep), balance, (0.0, years), tolerance=tolerance)

    return jax.jit(run)


def flow(bed, thickness, creep, balance=None, years=5.0, tolerance=TOLERANCE):
    glacier = Glacier(bed=bed, thickness=thickness, x=AXIS, y=AXIS)
    history = _run(years)(glacier, creep, balance, tolerance)
    assert bool(history.ok)
    return history


def last(*args, **kwargs) -> np.ndarray:
    return np.asarray(flow(*args, **kwargs).thickness[-1])


@EXAMPLES
@given(beds(), st.floats(2500.0, 3500.0))
def test_mass_and_positivity(case, ela):
    history = flow(*case, LinearGradient(ela=ela, gradient=0.01, maximum=2.0))
    assert history.mass_error <= 1e-12
    assert np.min(history.thickness) >= 0.0


@EXAMPLES
@given(beds(roughness=(1.0, 150.0)))
def test_no_ice_comes_out_of_empty_cells(case):
    """With all ice below the median of the bed, the upper half stays bare."""
    bed, thickness, creep = case
    highest = np.median(bed)
    thickness = np.minimum(thickness, np.maximum(highest - bed, 0.0))
    after = last(bed, thickness, creep)
    bare = bed > highest
    assert np.any(bare) and np.any(thickness)
    assert not np.any(after[bare]), (after[bare].max(), (bed + thickness)[thickness > 0].max() - highest)


@EXAMPLES
@given(beds())
def test_the_grid_has_no_favourite_direction(case):
    bed, thickness, creep = case
    plain = last(bed, thickness, creep)
    scale = 1e-9 * max(1.0, plain.max())
    for turn in (lambda f: f[::-1], lambda f: f[:, ::-1], lambda f: f.T, np.rot90):
        assert np.allclose(last(turn(bed), turn(thickness), creep), turn(plain), rtol=0, atol=scale)


@EXAMPLES
@given(beds(), st.sampled_from([0.25, 4.0]))  # dates are compiled in
def test_softer_ice_is_faster_and_nothing_else(case, factor):
    """Creep times a factor for a time divided by it; to the time error."""
    bed, thickness, creep = case
    one = last(bed, thickness, creep, years=4.0, tolerance=1e-3)
    other = last(bed, thickness, creep * factor, years=4.0 / factor, tolerance=1e-3)
    assert np.sqrt(np.mean(np.square(one - other))) < 0.05


@EXAMPLES
@given(beds(roughness=(0.0, 0.0)), st.floats(2800.0, 3200.0), st.floats(1.0, 100.0))
def test_more_snow_never_gives_less_ice_on_a_smooth_bed(case, ela, lower):
    more, less = (
        last(*case, LinearGradient(ela=height, gradient=0.01, maximum=2.0)).sum() for height in (ela - lower, ela)
    )
    assert more >= less * (1 - 1e-6)


@EXAMPLES
@given(beds())
def test_all_melts_and_grows_again(case):
    bed, thickness, creep = case
    gone = flow(bed, thickness, creep, LinearGradient(ela=1e5, gradient=1e-4), years=60.0)
    assert not np.any(gone.thickness[-1])
    assert gone.mass_error <= 1e-12
    grown = flow(bed, 0 * thickness, creep, LinearGradient(ela=0.0, gradient=0.01, maximum=1.0), years=60.0)
    assert np.sum(grown.thickness[-1]) > 0
    assert grown.mass_error <= 1e-12
