"""Priors and blocks that several models share, with their units and their reasons.

A block samples its parameters under the field's names and returns what the physics wants: a law, a balance,
a glacier. A model is a few of them in a row; write your own beside them.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, overload

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.distributions.transforms import AffineTransform

from glacierbayes import constants, laws
from glacierbayes.distributions import fraction, inverse_gamma, lognormal
from glacierbayes.errors import InputError
from glacierbayes.geometry import coupling_number, reference_geometry, thickness_and_slope
from glacierbayes.glacier import Glacier
from glacierbayes.observations.observations import Observations
from glacierbayes.physics.mass_balance import LinearGradient, MassBalance, TemperatureIndex
from glacierbayes.sites import data_at, derived, keep_field, keep_function, sample, scope, several, state
from glacierbayes.solvers.history import History

__all__ = [
    "Input",
    "at_start",
    "coupled",
    "creep_of_temperature",
    "data_at",
    "derived",
    "flow",
    "fraction",
    "inverse_gamma",
    "keep_field",
    "keep_function",
    "linear_gradient",
    "lognormal",
    "mass_balance",
    "observe",
    "of_the_ice",
    "reference_geometry",
    "relative_discrepancy",
    "sample",
    "scope",
    "several",
    "state",
    "thickness_and_slope",
    "thickness_scale",
    "unknown_function",
    "velocity_errors",
    "volume_change_density",
    "with_temperature",
]

USUAL_BALANCE = -0.5  # m w.e. per year, where none was observed


# Flow ---------------------------------------------------------------------------------------------------------

# With both a corrected law moves Aletsch faster than 500 m per year in one draw of the prior in a hundred
# (`experiments/prior_predictive.py`).
SPEED_FACTOR, SPEED_FACTOR_BESIDE_A_FUNCTION = 4.0, 2.5


@overload
def flow(
    glacier: Glacier,
    scale: Any = 1.0,
    sliding: Literal[True] = True,
    factor: float = SPEED_FACTOR,
    reference: tuple[float, float] | None = None,
) -> laws.SumOfLaws: ...
@overload
def flow(
    glacier: Glacier,
    scale: Any = 1.0,
    *,
    sliding: Literal[False],
    factor: float = SPEED_FACTOR,
    reference: tuple[float, float] | None = None,
) -> laws.Glen: ...
def flow(
    glacier: Glacier,
    scale: Any = 1.0,
    sliding: bool = True,
    factor: float = SPEED_FACTOR,
    reference: tuple[float, float] | None = None,
) -> laws.Glen | laws.SumOfLaws:
    """Creep, with sliding or without, sampled on what the data see.

    A, C and the thickness scale are correlated at nearly -1 given a velocity. The surface speed at a reference
    thickness and slope is what an image shows, so that is sampled, and the share of sliding in it; A and C follow.
    Prior of the speed: that of ice at 0 degC (2.4e-24 Pa-3 s-1, Cuffey and Paterson 2010) within a factor, a wide
    one because the shallow-ice A stands for side drag and stiffer ice as well. Sliding share: anything, median 0.3.

    Args:
        glacier: before any scaling; not traced.
        scale: of its thickness.
        sliding: whether it slides; then `laws` of the result are creep and sliding.
        factor: within which two thirds of the prior's mass lie; less where a function has a departure of its own.
        reference: thickness (m) and slope at which speed and share are stated; `reference_geometry` by default.
    """
    thickness, slope = reference_geometry(glacier) if reference is None else reference
    stress = constants.ICE_DENSITY * constants.GRAVITY * thickness * slope
    soft = constants.CREEP_PARAMETER * stress**3 * thickness / 2 * constants.SECONDS_PER_YEAR
    at = f"at {thickness:.0f} m thickness times the scale and a slope of {slope:.3f}"
    state("reference", f"reference speed: surface speed {at}")
    speed = sample("reference_speed", lognormal(soft, factor), "m yr-1", f"surface speed {at}")
    share = 0.0
    if sliding:
        share = sample("sliding_fraction", fraction(0.3, 1.5), "1", f"share of sliding in the surface speed {at}")
    per_second = speed / constants.SECONDS_PER_YEAR
    drag = stress * scale
    creep = derived(
        "creep_parameter",
        per_second * (1 - share) * 2 / (drag**3 * thickness * scale),
        "Pa-3 s-1",
        "effective creep parameter A of Glen's law, n = 3 (shallow ice: side drag included)",
    )
    law = laws.Glen(A=creep)
    if not sliding:
        return law
    slip = derived(
        "sliding_parameter", per_second * share / drag**3, "m s-1 Pa-3", "sliding parameter C of Weertman's law, m = 3"
    )
    return law + laws.WeertmanSliding(C=slip)


def coupled(law: laws.FlowLaw, thicknesses: Any) -> laws.FlowLaw:
    """The law at a slope averaged over a number of ice thicknesses (`laws.Coupled`).

    Args:
        law: the whole of it.
        thicknesses: None for the local slope, a number, or "inferred" (`geometry.coupling_number`).

    Raises:
        InputError: another word, or a number that is not above 0.
    """
    number = coupling_number(thicknesses)
    if number is None:
        return law
    if thicknesses == "inferred":
        name = "length over which the slope is averaged, in ice thicknesses"
        return laws.Coupled(law, sample("coupling_thicknesses", lognormal(number, 1.6), "1", name))
    return laws.Coupled(law, number)


# Unknown functions --------------------------------------------------------------------------------------------

FAMILIES = {
    "spline": laws.Spline,
    "gaussian_process": laws.GaussianProcess,
    "neural_network": laws.NeuralNetwork,
}
GRID = {1: (30,), 2: (6, 5)}  # places at which a function is kept, and its convergence judged
SHORTEST, LONGEST = 0.5, 2.0  # times its length, where that is inferred


class Input(NamedTuple):
    """An input of an unknown function: the range that matters, and the length over which the function may turn."""

    name: str
    low: float
    high: float
    length: float
    units: str


def unknown_function(
    name: str,
    family: str,
    inputs: tuple[Input, ...],
    scale: float,
    long_name: str,
    lengths: str = "fixed",
    zero_at: tuple[Any, ...] | None = None,
) -> laws.Function:
    """A function of one or two inputs that nobody knows: mean 0, standard deviation `scale`, as the family draws it.

    Its weights are the site `NAME_weights`; they may swap places and are not judged. Its values on a grid over the
    inputs are kept as NAME. Lengths that are inferred are the sites `NAME_length_INPUT`, from half to twice that of the
    input; more weights are needed then (a Gaussian process of two inputs: too many, take a spline).

    Args:
        name: of the function in the result.
        family: "spline", "gaussian_process" or "neural_network".
        inputs: one or two.
        scale: prior standard deviation of its values, which are logarithms of a factor.
        long_name: for the result file.
        lengths: "fixed" or "inferred".
        zero_at: a place, one number an input, at which the function is 0: where it multiplies something unknown, the
            data cannot tell the levels of the two apart, and a sampler goes up and down between them. Elsewhere it is a
            difference of two values then, up to 1.4 times as wide a priori.

    Raises:
        InputError: an unknown family, or another word for the lengths.
    """
    if family not in FAMILIES:
        raise InputError(f'option family is "{family}", expected {", ".join(map(repr, FAMILIES))}')
    if lengths not in ("fixed", "inferred"):
        raise InputError(f'option lengths is "{lengths}", expected "fixed" or "inferred"')
    short, long = (tuple(share * i.length for i in inputs) for share in (SHORTEST, LONGEST))
    over: tuple[Any, ...] = tuple(i.length for i in inputs)
    if lengths == "inferred":
        over = tuple(
            sample(f"{name}_length_{i.name}", inverse_gamma(a, b), i.units, f"length of {long_name} along {i.name}")
            for i, a, b in zip(inputs, short, long, strict=True)
        )
    between = {"shortest": short, "longest": long} if lengths == "inferred" else {}
    of = FAMILIES[family](tuple((i.low, i.high) for i in inputs), scale, over, **between)
    weights = sample(f"{name}_weights", dist.Normal().expand([of.size]).to_event(1), "1", f"weights of {long_name}")
    function = laws.Function(of, weights)
    function = function if zero_at is None else function.zero_at(*zero_at)
    axes = [_places(i, count) for i, count in zip(inputs, GRID[len(inputs)], strict=True)]
    derived(name, function(*map(jnp.asarray, np.meshgrid(*axes, indexing="ij"))), "1", long_name)
    grid = {i.name: (axis, i.units) for i, axis in zip(inputs, axes, strict=True)}
    keep_function(name, grid, weights=f"{name}_weights")
    return function


def _places(along: Input, count: int) -> np.ndarray:
    """Evenly over the range, to three digits of their distance: they name rows of tables."""
    places, step = np.linspace(along.low, along.high, count, retstep=True)
    return np.round(places, 2 - int(np.floor(np.log10(step))))


def of_the_ice(glacier: Glacier, coupling: Any = None, share: float = 0.5) -> tuple[Input, Input]:
    """Thickness and slope as inputs, over what the glacier has.

    Thickness to one and a half times the thickest ice, for the thickness is uncertain; slope to the 99th percentile.

    Args:
        glacier: not traced.
        coupling: over how many thicknesses the law's slope is averaged, as `coupled` takes it.
        share: of the range, over which the function may turn: its length.
    """
    thickness, slope = thickness_and_slope(glacier, coupling)
    keep_field("slope", slope, "1", "slope of the surface that the unknown function is given")
    slope = slope[thickness > 0]
    if slope.size == 0:
        raise InputError("priors: the glacier has no ice, and so no range of thickness and slope")
    deep, steep = 1.5 * float(thickness.max()), float(np.quantile(slope, 0.99))
    return Input("thickness", 0.0, deep, share * deep, "m"), Input("slope", 0.0, steep, share * steep, "1")


# ice of -25 to 0 degC is within one deviation of the typical one; two glaciers 3 degrees apart correlate by 0.3 to 0.5
TYPICAL_CREEP, CREEP_DEPARTURE = 5e-25, 1.3  # Pa-3 s-1; of the logarithm
ICE_TEMPERATURES, TEMPERATURE_LENGTH = (-25.0, 0.0), 2.2  # degC


def creep_of_temperature(family: str, lengths: str = "fixed") -> laws.TemperatureCreep:
    """Creep with an unknown A(T), the same for all glaciers: a priori constant in T, free to bend, rise and fall.

    Args:
        family, lengths: see `unknown_function`; the function is the site "creep_departure", the log of A over
            5e-25 Pa-3 s-1.
    """
    temperature = Input("temperature", *ICE_TEMPERATURES, TEMPERATURE_LENGTH, "degC")
    name = f"log of the creep parameter over {TYPICAL_CREEP:g} Pa-3 s-1"
    departure = unknown_function("creep_departure", family, (temperature,), CREEP_DEPARTURE, name, lengths)
    return laws.TemperatureCreep(departure, TYPICAL_CREEP)


def with_temperature(glacier: Glacier) -> tuple[Glacier, float]:
    """The glacier with a field "temperature" of its ice, degC: its own, or one number from its climate.

    The long-term mean of the air temperature at the mean elevation of the ice, at most 0, as Bolibar et al. 2023 (doi
    10.5194/gmd-16-6671-2023) take it. The temperature in the ice is another, which nobody knows everywhere.

    Returns:
        The glacier, and the mean of the field over its ice.

    Raises:
        InputError: the glacier has neither.
    """
    with jax.ensure_compile_time_eval():
        ice = np.asarray(glacier.thickness) > 0
        if "temperature" in glacier.fields:
            mean = float(np.mean(np.asarray(glacier.fields["temperature"])[ice]))
        elif glacier.climate is not None:
            rise = float(np.mean(np.asarray(glacier.surface)[ice])) - float(glacier.climate.reference_height)
            air = float(np.mean(np.asarray(glacier.climate.temperature))) + constants.LAPSE_RATE * rise
            mean = min(air, 0.0)
            state("temperature", f"ice taken at {mean:.1f} degC: long-term air temperature at its mean elevation")
            glacier = glacier.with_field("temperature", mean)
        else:
            raise InputError(
                "temperature law: the glacier has no temperature and no climate (climate_historical.nc) to take it "
                'from; add the file, or give Glacier(..., fields={"temperature": ...}) in degC'
            )
    data_at("temperature", mean)
    return glacier, mean


# Geometry -----------------------------------------------------------------------------------------------------


def thickness_scale(factor: float = 1.25) -> Array:
    """Factor on the named thickness product: the standard ones differ by 0.6 to 1.2 on one glacier.

    Args:
        factor: within which two thirds of the prior's mass lie.
    """
    return sample("thickness_scale", lognormal(1.0, factor), "1", "factor on the ice thickness of the named product")


def at_start(glacier: Glacier, observations: Observations | None, start: float) -> Glacier:
    """The glacier with its surface brought from the year of the elevation model to the start, bed fixed.

    The surface is moved by the mean rate of the geodetic balance (at 850 kg m-3), the same everywhere on ice;
    a pattern is left to the flow. Unknown year or no balance: the surface stays, and the result says so.
    """
    geodetic = None if observations is None else observations.geodetic
    if glacier.surface_year is None or geodetic is None:
        missing = "its year is not known" if glacier.surface_year is None else "there is no geodetic balance"
        state("start_surface", f"surface of the elevation model taken for {start:g}: {missing}")
        return glacier
    density = constants.VOLUME_CHANGE_DENSITY / constants.WATER_DENSITY
    rate = float(np.mean(np.asarray(geodetic.balance))) / density
    change = rate * (start - glacier.surface_year)
    state(
        "start_surface",
        f"surface of {glacier.surface_year:g} moved by {change:+.1f} m on ice to {start:g}, bed fixed, "
        f"by the mean geodetic rate of {rate:.2f} m per year",
    )
    with jax.ensure_compile_time_eval():
        return glacier.raised(change)


# Mass balance -------------------------------------------------------------------------------------------------


def mass_balance(
    glacier: Glacier, observations: Observations | None, years: tuple[float, float], kind: str = "auto"
) -> MassBalance:
    """Temperature index where the climate covers the years, else a linear gradient.

    OGGM's calibrated factors were fitted to the same geodetic balance and are no prior. Melt factor, precipitation
    factor and temperature bias: the spread over glaciers of such calibrations (Schuster et al. 2023,
    doi 10.1017/aog.2023.57). Equilibrium line: near the glacier's median elevation (Braithwaite and Raper 2009,
    doi 10.3189/172756410790595930).

    Args:
        glacier: with its climate, at the start; not traced.
        observations: a geodetic balance in them says where the sampler looks first, and nothing else here.
        years: of the run.
        kind: "auto", "TemperatureIndex" or "LinearGradient".

    Raises:
        InputError: an unknown kind, or "TemperatureIndex" with a climate that is missing or too short.
    """
    geodetic = None if observations is None else observations.geodetic
    expected = USUAL_BALANCE if geodetic is None else float(np.mean(np.asarray(geodetic.balance)))
    covered = glacier.climate is not None and glacier.climate.covers(*years)
    if kind == "auto":
        kind = "TemperatureIndex" if covered else "LinearGradient"
    if kind == "TemperatureIndex":
        state("balance_model", kind)
        return _temperature_index(glacier, years, expected)
    if kind == "LinearGradient":
        state("balance_model", kind)
        with jax.ensure_compile_time_eval():
            heights = np.asarray(glacier.surface)[np.asarray(glacier.thickness) > 0]
        return linear_gradient(float(np.median(heights)), float(np.mean(heights)))
    raise InputError(f'option balance is "{kind}", expected "auto", "TemperatureIndex" or "LinearGradient"')


def linear_gradient(typical: Any, mean: Any) -> LinearGradient:
    """A balance linear in elevation.

    The balance over the glacier ties line and gradient to a thin curve. Sampled is therefore the mean balance on the
    first surface, under the prior that follows from that of the line: normal, 200 m about its typical elevation.

    Args:
        typical: elevation of the equilibrium line, m.
        mean: elevation of the ice at the start, m.
    """
    gradient = sample(
        "balance_gradient", lognormal(0.0065, 1.5), "yr-1", "mass balance gradient, m w.e. per year per m"
    )
    first = dist.Normal(gradient * (mean - typical), gradient * 200.0)
    balance = sample("first_balance", first, "m yr-1", "mean balance on the first surface, m w.e. per year")
    line = derived("equilibrium_line", mean - balance / gradient, "m", "equilibrium line altitude")
    return LinearGradient(line, gradient)


def _temperature_index(glacier: Glacier, years: tuple[float, float], expected: float) -> TemperatureIndex:
    """A temperature index model whose parameters are sampled along and across the budget.

    A balance over the whole glacier ties melt factor, precipitation factor and temperature bias to a thin curved
    sheet. The precipitation factor is therefore sampled as the log of its ratio to the one that would give the
    expected balance on the starting surface: a shift, which leaves its prior as it is.
    """
    trial = TemperatureIndex(glacier.climate, 1.0, 1.0, 0.0)
    trial.breaks(*years)  # refuses a climate that is too short
    with jax.ensure_compile_time_eval():
        ice = np.asarray(glacier.thickness) > 0
        heights = jnp.quantile(jnp.asarray(np.asarray(glacier.surface)[ice]), (jnp.arange(20) + 0.5) / 20)
    melt_factor = sample("melt_factor", lognormal(5.0, 1.6), "kg m-2 d-1 K-1", "melt factor")
    bias = sample("temperature_bias", dist.Normal(0.0, 1.5), "K", "temperature bias")
    biased = TemperatureIndex(glacier.climate, melt_factor, 1.0, bias)
    calendar = jnp.arange(int(np.floor(years[0])), int(np.ceil(years[1])))
    snow, degrees = jax.vmap(lambda year: biased.year(heights, year))(calendar)
    needed = constants.WATER_DENSITY * expected + melt_factor * jnp.mean(degrees)
    ratio = needed / jnp.mean(snow)
    closing = 0.5 * (ratio + jnp.sqrt(ratio**2 + 0.1**2))  # positive, whatever the sampler tries
    departure = sample(
        "precipitation_departure",
        dist.Normal(np.log(2.0) - jnp.log(closing), np.log(1.5)),
        "1",
        f"log of the precipitation factor over the one that gives {expected:.2f} m w.e. per year on the first surface",
    )
    factor = derived("precipitation_factor", closing * jnp.exp(departure), "1", "precipitation factor")
    return TemperatureIndex(glacier.climate, melt_factor, factor, bias)


# Observations -------------------------------------------------------------------------------------------------


# Tails without a variance make predictions of anything; where the stated errors are too large the fit goes there.
LEAST_FREEDOM = 2.0


def velocity_errors(shape: tuple[int, ...] = ()) -> tuple[Array, Array, Array]:
    """What shallow ice cannot say of a block: its scale (m per year), correlation length (m) and tails (Student-t).

    Correlated over some kilometres (a few valley widths).

    Args:
        shape: for a batch of glaciers.
    """
    wide, far = lognormal(10.0, 2.5).expand(shape), lognormal(2000.0, 2.0).expand(shape)
    scale = "scale of what shallow ice cannot say of a block"
    discrepancy = sample("velocity_discrepancy", wide, "m yr-1", scale)
    length = sample("velocity_correlation_length", far, "m", "correlation length of the discrepancy")
    above = AffineTransform(LEAST_FREEDOM, 1.0, domain=dist.constraints.positive)
    tails = dist.TransformedDistribution(dist.Gamma(2.0, 0.1).expand(shape), above)
    freedom = sample("velocity_degrees_of_freedom", tails, "1", "degrees of freedom of the Student-t")
    return discrepancy, length, freedom


def relative_discrepancy() -> Array:
    """What errors of the thickness from cell to cell leave in the speed of a block, as a share of it.

    Ice flows around a bed that is off until its flux is right again. What is left is the error of the thickness: 10 to
    20 % over a kilometre, and in fast ice more than any number of m per year that fits slow ice too
    (`experiments/diffusivity_twin.py`).
    """
    name = "discrepancy as a share of the speed of the block"
    return sample("velocity_relative_discrepancy", lognormal(0.1, 2.0), "1", name)


def volume_change_density(shape: tuple[int, ...] = ()) -> Array:
    """Density of the volume change, 850 +- 60 kg m-3 (Huss 2013, doi 10.5194/tc-7-877-2013); shape of a batch."""
    prior = dist.Normal(constants.VOLUME_CHANGE_DENSITY, constants.VOLUME_CHANGE_DENSITY_SIGMA).expand(shape)
    return sample("volume_change_density", prior, "kg m-3", "density of the volume change")


def observe(history: History, observations: Observations | None, relative: bool = False) -> None:
    """The likelihood of everything that was seen, with its error model.

    Velocity: see `velocity_errors`. Geodetic balance: the density of the volume change is a latent, its share taken
    out of the sigma. A failed solve has density zero.

    Args:
        history: a run that saved the dates of the observations.
        observations: None for none.
        relative: whether the velocity has a `relative_discrepancy` too.
    """
    numpyro.factor("solver", jnp.where(history.ok, 0.0, -jnp.inf))
    if observations is None:
        return
    if observations.velocity is not None:
        observations.velocity.sample(history, *velocity_errors(), relative_discrepancy() if relative else 0.0)
    if observations.geodetic is not None:
        observations.geodetic.sample(history, volume_change_density())
