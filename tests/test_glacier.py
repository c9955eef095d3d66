"""`Glacier` and `Climate`: what they refuse, what they keep."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.errors import InputError
from glacierbayes.glacier import Climate, Glacier

from .glaciers import climate, slab, valley

BED, ICE = np.full((4, 5), 2000.0), np.full((4, 5), 50.0)
X, Y = 100.0 * np.arange(5), 1000.0 - 50.0 * np.arange(4)


def changed(field: np.ndarray, value: float) -> np.ndarray:
    field = field.copy()
    field[1, 2] = value
    return field


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(bed=changed(BED, np.nan)), "bed is not a number in 1 cells"),
        (dict(bed=changed(BED, np.inf)), "bed is not a number in 1 cells"),
        (dict(thickness=changed(ICE, np.nan)), "thickness is not a number in 1 cells"),
        (dict(thickness=changed(ICE, -2.0)), "thickness is as low as -2 m"),
        (dict(thickness=ICE.T), r"thickness has shape \(5, 4\), expected \(y, x\) = \(4, 5\)"),
        (dict(bed=BED[:3]), r"bed has shape \(3, 5\)"),
        (dict(mask=np.ones((4, 4), bool)), r"mask has shape \(4, 4\)"),
        (dict(mask=np.full((4, 5), np.nan)), "mask is not a number"),
        (dict(x=X**1.1), "x is not evenly spaced"),
        (dict(y=changed(Y[None].repeat(4, 0), 3.0)[1]), "y is not evenly spaced"),
        (dict(x=np.zeros(5)), "x is not evenly spaced"),
        (dict(x=X[:2], bed=BED[:, :2], thickness=ICE[:, :2]), "at least three cell centres"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        Glacier(**{**dict(bed=BED, thickness=ICE, x=X, y=Y), **arguments})
    assert 1 <= len(str(caught.value).splitlines()) <= 3


def test_grid():
    glacier = Glacier(bed=BED, thickness=ICE, x=X, y=Y)
    assert (float(glacier.dx), float(glacier.dy), float(glacier.cell_area)) == (100.0, -50.0, 5000.0)
    assert np.array_equal(glacier.surface, BED + ICE)
    assert np.all(glacier.mask)
    assert glacier.bed.dtype == np.float64


def test_ice_is_cut_to_the_outline():
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:4] = True
    glacier = Glacier(bed=BED, thickness=ICE, x=X, y=Y, mask=mask)
    assert np.array_equal(glacier.thickness, np.where(mask, ICE, 0.0))


def test_scaled_keeps_the_surface():
    glacier = valley()
    for factor in (0.6, 1.3, jnp.asarray(np.random.default_rng(0).uniform(0.5, 1.5, glacier.bed.shape))):
        scaled = glacier.scaled(factor)
        assert np.allclose(scaled.thickness, glacier.thickness * factor, rtol=1e-15)
        assert np.allclose(scaled.surface, glacier.surface, rtol=0, atol=1e-9)


def test_raised_keeps_the_bed_and_bare_rock():
    glacier = valley()
    for change in (-30.0, 12.0):
        raised = glacier.raised(change)
        assert np.array_equal(raised.bed, glacier.bed)
        ice = np.asarray(glacier.thickness) > 0
        assert np.allclose(
            np.asarray(raised.thickness)[ice], np.maximum(np.asarray(glacier.thickness)[ice] + change, 0)
        )
        assert not np.any(np.asarray(raised.thickness)[~ice])


def test_a_glacier_can_be_made_inside_jit():
    def volume(bed, thickness):
        return jnp.sum(Glacier(bed=bed, thickness=thickness, x=X, y=Y).thickness)

    assert float(jax.jit(volume)(BED, ICE)) == ICE.sum()
    assert np.array_equal(jax.grad(volume, 1)(BED, ICE), np.ones((4, 5)))


def test_a_glacier_is_a_tree_of_arrays():
    leaves, tree = jax.tree.flatten(valley())
    assert all(isinstance(leaf, jax.Array | float) for leaf in leaves)
    assert jax.tree.unflatten(tree, leaves).climate.source == "made up"


def test_the_window_holds_the_outline():
    glacier = valley(rim=20)
    y0, y1, x0, x1 = glacier.window
    assert np.asarray(glacier.mask)[y0:y1, x0:x1].sum() == np.asarray(glacier.mask).sum()
    assert slab().window == (0, 12, 0, 12)


def test_climate_of_other_shapes_is_bad_input():
    with pytest.raises(InputError, match=r"shapes \(24,\) and \(24,\), expected \(years, 12\)"):
        Climate.__check_init__(SimpleNamespace(temperature=np.zeros(24), precipitation=np.zeros(24)))


def test_climate_covers_whole_years():
    months = climate(first_year=2000, years=3)
    assert months.last_year == 2002
    assert months.covers(2000.0, 2003.0)
    assert months.covers(2001.5, 2002.5)
    assert not months.covers(1999.99, 2001.0)
    assert not months.covers(2000.0, 2003.01)
