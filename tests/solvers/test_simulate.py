"""`simulate` and `History`: mass, positivity, edges, outline, symmetry, dates, failure."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.data.oggm import read_oggm
from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.laws import Glen, WeertmanSliding
from glacierbayes.physics.mass_balance import LinearGradient, Prescribed, TemperatureIndex
from glacierbayes.solvers import RESULTS, Result
from glacierbayes.solvers.history import History
from glacierbayes.solvers.simulate import _compiled_run, simulate, step_limit

from ..glaciers import RHO_G, YEAR, climate, rough, slab, valley

pytestmark = pytest.mark.run

MELT = LinearGradient(ela=2900.0, gradient=0.01, maximum=2.0)


@jax.jit
def _flow(glacier: Glacier, creep, balance=None) -> History:
    law = Glen(creep) + WeertmanSliding(1e-20)
    return simulate(glacier, law, balance, (2000.0, 2008.0), (2001.0,))


@jax.jit
def _still(glacier: Glacier, balance) -> History:
    return simulate(glacier, Glen(0.0), balance, (2000.0, 2010.0))


def check_mass(history: History) -> None:
    assert bool(history.ok)
    assert history.mass_error <= 1e-12
    thickness = np.asarray(history.thickness)
    assert thickness.min() == 0.0
    volume = thickness.sum((1, 2)) * float(history.glacier.cell_area)
    balance = volume[-1] - volume[0] + float(history.outflow) - float(history.supplied)
    assert abs(balance) <= 1e-12 * max(volume[0], float(history.applied))


@pytest.mark.parametrize("creep", [0.1e-24, 2.4e-24, 50e-24])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("balance", [None, MELT], ids=["no balance", "balance"])
def test_mass_on_rough_beds(seed, creep, balance):
    history = _flow(rough(seed), creep, balance)
    check_mass(history)
    assert history.outflow > 0
    if balance is None:
        assert history.supplied == 0
        volume = np.asarray(history.thickness).sum((1, 2)) * 1e4
        assert abs(volume[-1] + float(history.outflow) - volume[0]) <= 1e-12 * volume[0]


def test_films_set_no_step():
    """Whether empty cells hold 0 or 1e-17 m is round-off; once the step's error was a mean over both alike."""
    glacier = rough(0)
    assert np.mean(np.asarray(glacier.thickness) == 0.0) > 0.1
    filmed = eqx.tree_at(lambda g: g.thickness, glacier, jnp.maximum(glacier.thickness, 1e-17))
    plain, other = (_flow(g, 2.4e-24).thickness for g in (glacier, filmed))
    assert np.allclose(plain, other, rtol=0, atol=1e-9)


def test_mass_on_aletsch(data_dir):
    glacier = read_oggm(data_dir / "RGI60-11.01450", resolution=400.0)
    balance = TemperatureIndex(glacier.climate, 5.0, 1.6, 0.0)
    history = jax.jit(lambda g, b: simulate(g, Glen(2.4e-24), b))(glacier, balance)
    check_mass(history)
    assert history.time == (2000.0, 2020.0)


def test_aletsch_melts_away_in_200_years(data_dir):
    glacier = read_oggm(data_dir / "RGI60-11.01450", resolution=400.0)
    balance = LinearGradient(ela=5000.0, gradient=0.002)
    run = jax.jit(lambda g, b: simulate(g, Glen(2.4e-24), b, (2000.0, 2200.0), (2050.0, 2100.0)))
    history = run(glacier, balance)
    check_mass(history)
    volume = np.asarray(history.volume())
    assert np.all(np.diff(volume) <= 0)
    assert volume[1] > 0
    assert volume[-1] == 0


@pytest.mark.slow
@pytest.mark.parametrize("resolution", [200.0, 100.0])
def test_mass_on_aletsch_finely(data_dir, resolution):
    glacier = read_oggm(data_dir / "RGI60-11.01450", resolution=resolution)
    run = jax.jit(lambda g, creep, b: simulate(g, Glen(creep), b))
    for creep in (0.1e-24, 2.4e-24, 50e-24):
        check_mass(run(glacier, creep, TemperatureIndex(glacier.climate, 5.0, 1.6, 0.0)))
        history = run(glacier, creep, None)
        check_mass(history)
        volume = np.asarray(history.thickness).sum((1, 2)) * float(glacier.cell_area)
        assert abs(volume[-1] + float(history.outflow) - volume[0]) <= 1e-12 * volume[0]


def test_no_ice_appears_uphill():
    x = 100.0 * np.arange(20)
    bed = np.broadcast_to(4000.0 - 0.8 * x, (8, 20))
    glacier = Glacier(bed=bed, thickness=np.where(x >= 1000.0, 60.0, np.zeros((8, 1))), x=x, y=x[:8])
    history = _flow(glacier, 50e-24)
    assert not np.any(np.asarray(history.thickness)[:, :, :10])
    check_mass(history)


def test_ice_leaves_over_every_edge():
    for slope_x, slope_y in ((0.2, 0.0), (-0.2, 0.0), (0.0, 0.2), (0.0, -0.2)):
        glacier = slab(slope_x=slope_x, slope_y=slope_y)
        history = _flow(glacier, 50e-24)
        lost = float(history.volume()[0] - history.volume()[-1])
        assert lost > 0.01 * float(history.volume()[0])
        assert float(history.outflow) == pytest.approx(lost, rel=1e-12)


def test_positive_balance_only_inside_the_outline():
    mask = np.zeros((12, 12), bool)
    mask[3:7, 2:9] = True
    base = slab()
    glacier = Glacier(bed=base.bed, thickness=np.zeros(mask.shape), x=base.x, y=base.y, mask=mask)
    history = _still(glacier, LinearGradient(ela=-1e6, gradient=1.0, maximum=0.9))
    # 0.9 m w.e. is 1 m of ice
    assert np.allclose(history.thickness[-1], np.where(mask, 10.0, 0.0), rtol=1e-13)
    assert float(history.supplied) == pytest.approx(10.0 * mask.sum() * 8000.0, rel=1e-13)


def test_melt_takes_no_more_than_there_is():
    glacier = slab(thickness=7.0)
    history = _still(glacier, LinearGradient(ela=1e5, gradient=0.1))
    assert not np.any(history.thickness[-1])
    assert float(history.supplied) == pytest.approx(-float(history.volume()[0]), rel=1e-14)
    assert float(history.applied) == pytest.approx(float(history.volume()[0]), rel=1e-14)
    assert history.mass_error <= 1e-12


def test_steps_follow_the_growth_of_a_glacier_from_bare_rock():
    """Left to itself over a century, as with a date every half year; 0.11 m rms was found, 0.06 m with whole years."""
    base = valley()
    bare = Glacier(bed=base.bed, thickness=np.zeros(base.bed.shape), x=base.x, y=base.y, mask=base.mask)
    balance = LinearGradient(ela=2780.0, gradient=0.008, maximum=1.5)
    law = Glen(2.4e-24)
    free = simulate(bare, law, balance, (1900.0, 2000.0))
    held = simulate(bare, law, balance, (1900.0, 2000.0), save_at=tuple(np.arange(1900.5, 2000.0, 0.5)))
    check_mass(free)
    ice = np.asarray(held.thickness[-1])
    assert ice.max() > 60.0
    assert np.sqrt(np.mean((np.asarray(free.thickness[-1]) - ice)[ice > 0] ** 2)) < 0.25


@pytest.mark.parametrize("rim", [0, 25])
def test_a_prescribed_balance_acts_where_its_map_says(rim):
    base = valley(rim=rim)
    rows, columns = base.bed.shape
    field = 0.02 * np.arange(columns) - 0.01 * np.arange(rows)[:, None]
    history = _still(base, Prescribed(jnp.asarray(field)))
    start, mask = np.asarray(base.thickness), np.asarray(base.mask)
    expected = np.maximum(start + 10.0 * np.where(mask | (field < 0), field, 0.0) / 0.9, 0.0)
    assert np.allclose(history.thickness[-1], expected, rtol=0, atol=1e-9)


def test_ice_melts_outside_the_outline():
    base = slab()
    mask = np.zeros((12, 12), bool)
    mask[4:8, 4:8] = True
    glacier = Glacier(bed=base.bed, thickness=base.thickness, x=base.x, y=base.y, mask=mask)
    glacier = eqx.tree_at(lambda g: g.thickness, glacier, base.thickness)
    history = _still(glacier, LinearGradient(ela=1e9, gradient=0.9e-9))
    assert np.allclose(history.thickness[-1], 110.0, atol=1e-3)


def flipped(glacier: Glacier) -> Glacier:
    return Glacier(
        glacier.bed[::-1], glacier.thickness[::-1], glacier.x, glacier.y[::-1], glacier.mask[::-1], glacier.climate
    )


def transposed(glacier: Glacier) -> Glacier:
    return Glacier(glacier.bed.T, glacier.thickness.T, glacier.y, glacier.x, glacier.mask.T, glacier.climate)


def test_the_order_of_y_and_the_names_of_the_axes_do_not_matter():
    glacier = valley()
    history = _flow(glacier, 2.4e-24, MELT)
    vx, vy = history.surface_velocity(2001.0)
    assert float(jnp.abs(vy).max()) > 5.0
    other = _flow(flipped(glacier), 2.4e-24, MELT)
    assert np.allclose(other.thickness[:, ::-1], history.thickness, rtol=0, atol=1e-9)
    for ours, theirs in zip(other.surface_velocity(2001.0), (vx, vy), strict=True):
        assert np.allclose(ours[::-1], theirs, rtol=0, atol=1e-9)
    other = _flow(transposed(glacier), 2.4e-24, MELT)
    assert np.allclose(other.thickness.swapaxes(1, 2), history.thickness, rtol=0, atol=1e-9)
    for ours, theirs in zip(other.surface_velocity(2001.0), (vy, vx), strict=True):
        assert np.allclose(ours.T, theirs, rtol=0, atol=1e-9)


def test_the_window_changes_nothing():
    """Without balance the outline only cuts the first ice, and says where the window is."""
    inside = valley(rim=25)
    everywhere = Glacier(inside.bed, inside.thickness, inside.x, inside.y)
    y0, y1, x0, x1 = inside.window
    assert (y1 - y0) * (x1 - x0) < inside.bed.size
    ours, theirs = (_flow(glacier, 2.4e-24) for glacier in (inside, everywhere))
    assert np.allclose(ours.thickness, theirs.thickness, rtol=0, atol=1e-9)
    check_mass(ours)


def _advancing():
    """Ice that runs far out of its outline where it is soft, on a grid with a window and on one without."""
    rows, columns = 14, 60
    x = 100.0 * np.arange(columns)
    bed = np.broadcast_to(3000.0 - 0.5 * x, (rows, columns))
    mask = np.zeros(bed.shape, bool)
    mask[5:9, 5:9] = True
    inside = Glacier(bed=bed, thickness=np.where(mask, 400.0, 0.0), x=x, y=x[:rows], mask=mask)
    return inside, Glacier(bed, inside.thickness, inside.x, inside.y)


def test_an_advance_out_of_the_window_is_followed():
    inside, everywhere = _advancing()
    right = inside.window[3]
    ours, theirs = (_flow(glacier, 50e-24) for glacier in (inside, everywhere))
    assert np.any(np.asarray(theirs.thickness)[-1, :, right:] > 1.0)
    assert np.allclose(ours.thickness, theirs.thickness, rtol=0, atol=1e-9)
    check_mass(ours)


@pytest.mark.parametrize("through", [lambda f: f, jax.jit], ids=["plain", "jit"])
def test_a_batch_follows_the_one_that_leaves_its_window(through):
    inside, everywhere = _advancing()
    parameters = jnp.array([1e-26, 50e-24]), jnp.array([0.0, 1e-20])

    def last(glacier):
        def run(A, C):
            return simulate(glacier, Glen(A) + WeertmanSliding(C), None, (2000.0, 2008.0)).thickness[-1]

        return through(jax.vmap(run))(*parameters)

    ours, theirs = last(inside), last(everywhere)
    assert np.allclose(ours, theirs, rtol=0, atol=1e-9)
    assert [bool(np.any(lane[:, inside.window[3] :] > 1.0)) for lane in theirs] == [False, True]


def test_an_advance_out_of_the_window_fails_where_it_may_not_leave():
    inside, _ = _advancing()

    def run(law):
        return simulate(inside, law, None, (2000.0, 2008.0), leave_window=False)

    within, without = run(Glen(1e-26)), run(Glen(50e-24) + WeertmanSliding(1e-20))
    assert bool(within.ok) and within.result == "ok" and np.all(np.isfinite(within.thickness))
    assert not bool(without.ok) and without.result == "left the window" and np.all(np.isnan(without.thickness))


@pytest.mark.parametrize(
    "creep, balance, result",
    [
        (jnp.nan, MELT, "not a number"),
        (1e-10, MELT, "step limit"),
        (2.4e-24, LinearGradient(ela=jnp.nan, gradient=0.01), "not a number"),
    ],
)
def test_a_solve_that_fails_says_why(creep, balance, result):
    history = _flow(valley(), creep, balance)
    assert not bool(history.ok) and history.result == result
    assert RESULTS[Result(int(history.result_code))] == result
    assert np.all(np.isnan(history.thickness))
    assert np.isnan(history.mass_change())


def test_a_batch_says_of_every_run_how_it_ended():
    creeps = jnp.array([2.4e-24, jnp.nan])
    batch = jax.jit(jax.vmap(lambda creep: simulate(valley(), Glen(creep), None, (2000.0, 2001.0))))(creeps)
    assert list(batch.result) == ["ok", "not a number"]
    assert list(batch.ok) == [True, False]


def test_runs_of_most_lengths_share_a_step_limit():
    assert len({step_limit(years) for years in (0.1, 20.0, 50, 500.0)}) == 1
    assert all(step_limit(years) >= 8192 + 2 * years for years in (1.0, 700.0, 5000.0, 15208.0))


def test_number_and_array_exponents_give_the_same_run():
    glacier = valley()

    def last(n):
        law = Glen(2.4e-24, n=n) + WeertmanSliding(1e-20, m=n)
        return simulate(glacier, law, None, (2000.0, 2002.0)).thickness[-1]

    assert np.allclose(jax.jit(last)(jnp.array(3.0)), jax.jit(lambda: last(3.0))(), rtol=0, atol=1e-8)


def test_dates():
    history = simulate(valley(), Glen(1e-25), None, (2000.0, 2001.0), save_at=(2000.5, 2000.25, 2001.0, 2000.5))
    assert history.time == (2000.0, 2000.25, 2000.5, 2001.0)
    assert history.thickness.shape == (4, 30, 18)
    assert np.allclose(history.thickness[0], valley().thickness)
    history.surface_velocity(2000.25)
    with pytest.raises(ValueError, match=r"2000\.75 was not saved.*save_at"):
        history.surface_velocity(2000.75)


@pytest.mark.parametrize(
    "years, save_at, said",
    [
        ((2020.0, 2000.0), (), "expected the earlier first"),
        ((2000.0, 2000.0), (), "expected the earlier first"),
        ((2000.0, 2001.0), (1999.0,), "1999 lies outside the run of 2000 to 2001"),
    ],
)
def test_dates_out_of_order_are_bad_input(years, save_at, said):
    with pytest.raises(InputError, match=said):
        simulate(valley(), Glen(1e-24), None, years, save_at)


def test_short_climate_is_bad_input():
    balance = TemperatureIndex(climate(first_year=2005, years=4), 5.0, 2.0, 0.0)
    with pytest.raises(InputError, match="2005 to 2008"):
        simulate(valley(), Glen(1e-24), balance)


@pytest.fixture
def by_hand() -> History:
    """Three dates on a grid of which a part is the outline, without a run."""
    glacier = valley()
    outside = jnp.where(glacier.mask, 0.0, 5.0)  # ice that flowed out does not count in the outline's balance
    fields = [glacier.thickness, glacier.thickness + 2.0 * glacier.mask, glacier.thickness - 1.0 * glacier.mask]
    zero = jnp.zeros(())
    return History(
        (2000.0, 2004.0, 2010.0),
        jnp.stack([fields[0], fields[1] + outside, fields[2] + outside]),
        zero,
        zero,
        zero,
        jnp.array(0),
        glacier,
        WeertmanSliding(1e-20),
    )


def test_mass_change_is_that_inside_the_outline(by_hand):
    assert float(by_hand.mass_change()) == pytest.approx(-1.0 * 0.9 / 10)
    assert float(by_hand.mass_change(2000.0, 2004.0)) == pytest.approx(2.0 * 0.9 / 4)
    assert float(by_hand.mass_change(start=2004.0)) == pytest.approx(-3.0 * 0.9 / 6)
    with pytest.raises(ValueError, match="save_at"):
        by_hand.mass_change(2001.0)
    with pytest.raises(ValueError, match="no time between"):
        by_hand.mass_change(2004.0, 2004.0)


def test_surface_velocity_at_a_saved_date(by_hand):
    glacier = eqx.tree_at(lambda g: (g.bed, g.thickness), by_hand.glacier, (by_hand.glacier.bed, by_hand.thickness[1]))
    slope_y, slope_x = np.gradient(np.asarray(glacier.surface), 100.0)
    slope = np.hypot(slope_x, slope_y)
    speed = 1e-20 * (RHO_G * np.asarray(glacier.thickness) * slope) ** 3 * YEAR
    vx, vy = by_hand.surface_velocity(2004.0)
    # all round the thick ice there is ice
    thick = np.asarray(glacier.thickness) > 60.0
    assert thick.sum() > 100
    assert np.allclose(vx[thick], (-speed * slope_x / slope)[thick], rtol=1e-9, atol=1e-12)
    assert np.allclose(vy[thick], (-speed * slope_y / slope)[thick], rtol=1e-9, atol=1e-12)


def test_dataset(by_hand):
    dataset = by_hand.to_dataset(creep=2.4e-24)
    assert set(dataset.data_vars) == {"thickness", "surface", "velocity_x", "velocity_y", "bed", "mask"}
    for name, variable in dataset.variables.items():
        assert variable.attrs["units"], name
        assert variable.attrs["long_name"], name
    assert dataset.thickness.dims == ("time", "y", "x")
    assert np.allclose(dataset.surface.values, dataset.bed.values + dataset.thickness.values)
    assert np.allclose(dataset.velocity_y[1], by_hand.surface_velocity(2004.0)[1])
    assert dataset.attrs["creep"] == 2.4e-24
    assert dataset.attrs["solver_ok"] == 1


def test_a_run_of_another_length_is_not_compiled_again():
    """The dates are arguments of the compiled run; a climate brings one more for every year."""
    balance = TemperatureIndex(climate(), 5.0, 2.0, 0.0)
    for end in (2006.0, 2007.5, 2008.0):
        assert bool(simulate(valley(), Glen(2.4e-24), balance, (2000.0, end)).ok)
        if end == 2006.0:
            compiled = _compiled_run._cache_size()
    assert _compiled_run._cache_size() == compiled
