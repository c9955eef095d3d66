"""The mass balances against their formulas."""

import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.data.oggm import read_oggm
from glacierbayes.errors import InputError
from glacierbayes.glacier import Climate
from glacierbayes.physics.mass_balance import LinearGradient, TemperatureIndex

from ..glaciers import climate

HEIGHTS = jnp.linspace(1500.0, 4500.0, 40)


def test_linear_gradient():
    balance = LinearGradient(ela=2900.0, gradient=0.008, maximum=1.5)
    rate = balance.rate(jnp.array([2400.0, 2900.0, 3000.0, 4000.0]), 2000.0, 2001.0)
    assert np.allclose(rate, np.array([-4.0, 0.0, 0.8, 1.5]) / 0.9, atol=1e-14)


def test_linear_gradient_with_another_density_and_no_maximum():
    balance = LinearGradient(ela=2900.0, gradient=0.01, density=910.0)
    assert float(balance.rate(jnp.array(3900.0), 0.0, 1.0)) == pytest.approx(10.0 / 0.91)
    assert balance.breaks(1900.0, 2100.0) == ()


def by_hand(months: Climate, year: int, height: float, melt_f: float, prcp_fac: float, temp_bias: float) -> float:
    """OGGM's MonthlyTIModel, month by month, kg m-2 in a year."""
    total = 0.0
    for month in range(12):
        temperature = float(months.temperature[year - months.first_year, month]) + temp_bias
        temperature -= 0.0065 * (height - float(months.reference_height))
        if temperature <= 0.0:
            solid = 1.0
        elif temperature >= 2.0:
            solid = 0.0
        else:
            solid = 1.0 - temperature / 2.0
        total += solid * prcp_fac * float(months.precipitation[year - months.first_year, month])
        total -= melt_f * 365 / 12 * max(temperature + 1.0, 0.0)
    return total


def test_temperature_index_month_by_month():
    months = climate()
    balance = TemperatureIndex(months, melt_factor=5.5, precipitation_factor=1.7, temperature_bias=-0.4)
    for year in (1998, 2003, 2009):
        expected = [by_hand(months, year, float(z), 5.5, 1.7, -0.4) / 900.0 for z in HEIGHTS]
        assert np.allclose(balance.rate(HEIGHTS, float(year), year + 1.0), expected, rtol=1e-12, atol=1e-12)
        # a part of a year has the year's mean rate
        assert np.array_equal(
            balance.rate(HEIGHTS, year + 0.25, year + 0.5), balance.rate(HEIGHTS, float(year), year + 1.0)
        )


@pytest.mark.oggm
def test_temperature_index_is_that_of_oggm(data_dir, oggm):
    from oggm.core.massbalance import MonthlyTIModel

    path = data_dir / "RGI60-11.01450"

    class Directory:
        hemisphere = "nh"

        def get_filepath(self, name, filesuffix=""):
            return str(path / f"{name}.nc")

    theirs = MonthlyTIModel(
        Directory(), melt_f=5.0, temp_bias=0.3, prcp_fac=1.8, check_calib_params=False, ys=1990, ye=2019
    )
    annual = {year: theirs.get_annual_mb(np.asarray(HEIGHTS), year=year) for year in (1990, 2003, 2019)}
    ours = TemperatureIndex(read_oggm(path, resolution=800.0).climate, 5.0, 1.8, 0.3)
    for year, rate in annual.items():
        # m of ice per second of a year of 365 days
        assert np.allclose(ours.rate(HEIGHTS, float(year), year + 1.0), rate * 365 * 86400, rtol=1e-9, atol=1e-9)


def test_breaks_are_the_turns_of_the_years():
    balance = TemperatureIndex(climate(first_year=1998, years=5), 5.0, 2.0, 0.0)
    assert balance.breaks(1998.0, 2003.0) == (1999.0, 2000.0, 2001.0, 2002.0)
    assert balance.breaks(1999.5, 2001.2) == (2000.0, 2001.0)
    assert balance.breaks(2000.25, 2000.75) == ()


@pytest.mark.parametrize("years", [(1997.9, 2000.0), (2000.0, 2003.1), (1990.0, 1995.0)])
def test_too_short_a_climate_is_bad_input(years):
    balance = TemperatureIndex(climate(first_year=1998, years=5), 5.0, 2.0, 0.0)
    with pytest.raises(InputError, match=r"made up.* covers 1998 to 2002.*LinearGradient"):
        balance.breaks(*years)


def test_no_climate_is_bad_input():
    with pytest.raises(InputError, match="no climate"):
        TemperatureIndex(None, 5.0, 2.0, 0.0)
