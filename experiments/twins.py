"""Synthetic observations of real and synthetic glaciers with a known law, made as satellites and products make them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.ndimage import gaussian_filter
from scipy.stats import norm
from single_glacier import IMAGES, YEARS, Known, fast_depth, mean_height

import glacierbayes as gb

GRADIENT, GRADIENT_FACTOR = 0.0065, 1.5  # of the true balance, per year, as its prior has it
SPEED_SIGMA, SPEED_LENGTH = 5.0, 500.0  # of the velocity product, m per year; its correlation length, m
BALANCE_SIGMA = 0.13  # m w.e. per year
THICKNESS_SIGMA, THICKNESS_LENGTH = 0.1, 1000.0  # of the thickness product, share of the cell; m
LENGTH, WIDTH, ROOM = 10_000.0, 3600.0, 1900.0  # of synthetic glaciers and of the grid before them, m
GAPS = 0.12  # share of the cells without velocity, in patches of some cells
BLOCKS = 30  # of a synthetic glacier that are seen


class Site(NamedTuple):
    """A glacier as it is: geometry, the temperature of its ice, and how its velocity is seen.

    `blocks` is how many blocks are left by the gaps, where it is given: data of the same shape share what is compiled.
    """

    glacier: gb.Glacier
    temperature: float
    block_size: float
    blocks: int | None = None


class Twin(NamedTuple):
    """What a study is given of a glacier, and what it must find."""

    glacier: gb.Glacier
    observations: gb.Observations
    known: Known
    temperature: float
    mean_speed: float

    @property
    def case(self) -> tuple:
        """What `single_glacier.sample_all` is given."""
        return self.glacier, self.observations, self.known


def data_folder() -> Path:
    """Where the real glaciers are.

    Raises:
        SystemExit: nowhere.
    """
    folder = Path(os.environ.get("GLACIERBAYES_DATA", Path(__file__).parents[2] / "shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"{folder}: the real glaciers are not there; name their folder in GLACIERBAYES_DATA")
    return folder


def synthetic(depth: float, slope: float, spacing: float = 300.0) -> gb.Glacier:
    """A straight valley glacier, `depth` metres thick in the middle."""
    half = WIDTH / 2
    x, y = np.arange(spacing / 2, LENGTH + ROOM, spacing), np.arange(-half - 450, half + 451, spacing)
    along, across = (x[None] - 600) / (LENGTH - 600), y[:, None] / half
    shape = np.sqrt(np.clip(1 - (2 * along - 1) ** 4, 0, None)) * np.clip(1 - across**2, 0, None)
    surface = 3400.0 - slope * x[None] + 0.0 * across
    wall = 500.0 * np.clip(np.abs(across) - 0.9, 0, None)
    thickness = np.where(depth * shape > 10.0, depth * shape, 0.0)
    return gb.Glacier(surface + wall - thickness, thickness, x, y, mask=thickness > 0)


def real(name: str, resolution: float) -> gb.Glacier:
    """Geometry of a real glacier."""
    return gb.read_oggm(data_folder() / name, resolution=resolution)


def smooth(rng: np.random.Generator, glacier: gb.Glacier, length: float) -> np.ndarray:
    """A field of unit variance whose correlation falls to 1/e at about `length`, m."""
    cell = abs(float(glacier.dx))
    sigma = length / cell / 2
    rim = int(np.ceil(4 * sigma))
    rows, columns = glacier.bed.shape
    noise = gaussian_filter(rng.normal(size=(rows + 2 * rim, columns + 2 * rim)), sigma, mode="constant")
    response = np.zeros((2 * rim + 1, 2 * rim + 1))
    response[rim, rim] = 1.0
    spread = np.sqrt(np.sum(gaussian_filter(response, sigma, mode="constant") ** 2))
    return noise[rim : rim + rows, rim : rim + columns] / spread


def scale_sigma_of(glacier: gb.Glacier, scale_sigma: float) -> float:
    """Uncertainty of the thickness as the flow feels it: of the product's scale, and what errors of cells leave.

    Speed goes with H^4, so that the mean that counts is weighted by it.
    """
    thickness = np.asarray(glacier.thickness)
    y, x = np.nonzero(thickness > 0)
    weight = thickness[y, x] ** 4 / np.sum(thickness**4)
    squared = ((x[:, None] - x) * float(glacier.dx)) ** 2 + ((y[:, None] - y) * float(glacier.dy)) ** 2
    left = weight @ np.exp(-squared / THICKNESS_LENGTH**2) @ weight
    return float(np.hypot(scale_sigma, THICKNESS_SIGMA * np.sqrt(left)))


@eqx.filter_jit
def run(glacier: gb.Glacier, law: gb.laws.FlowLaw, balance: gb.mass_balance.LinearGradient) -> tuple[Array, Array]:
    """Surface velocity (2, y, x) at the date of the images, m per year, and mass change, m w.e. per year."""
    history = gb.simulate(glacier, law, balance, YEARS, (IMAGES,), leave_window=False)
    return jnp.stack(history.surface_velocity(IMAGES)), history.mass_change(*YEARS)


def observe(site: Site, law: gb.laws.FlowLaw, seed: int, scale_sigma: float = 0.02, noise: bool = True) -> Twin:
    """A glacier seen: velocity with correlated errors and gaps, a geodetic balance, a thickness product that is off.

    Args:
        site: the glacier as it is.
        law: of its flow.
        seed: of all errors, and of its mass balance.
        scale_sigma: of the thickness product's scale.
        noise: whether anything is off at all.
    """
    rng = np.random.default_rng(seed)
    glacier, share = site.glacier, float(noise)
    surface, thickness = np.asarray(glacier.surface), np.asarray(glacier.thickness)
    heights = surface[thickness > 0]
    line = np.median(heights) + 100.0 * rng.normal()
    balance = gb.mass_balance.LinearGradient(line, GRADIENT * GRADIENT_FACTOR ** rng.normal())
    speeds, change = run(glacier, law, balance)
    missing = smooth(rng, glacier, 600.0) > norm.isf(GAPS)
    seen = [v + share * SPEED_SIGMA * smooth(rng, glacier, SPEED_LENGTH) for v in speeds]
    seen = [np.where(missing & noise, np.nan, v) for v in seen]

    error = THICKNESS_SIGMA * smooth(rng, glacier, THICKNESS_LENGTH) + scale_sigma * rng.normal()
    product = thickness * np.exp(share * error)
    known = gb.Glacier(
        surface - product, product, glacier.x, glacier.y, mask=glacier.mask, thickness_product="twin",
        fields={"temperature": site.temperature},
    )  # fmt: skip
    velocity = gb.Velocity.from_grid(*seen, known, IMAGES, sigma=SPEED_SIGMA, block_size=site.block_size)
    if site.blocks is not None:
        more = rng.permutation(len(velocity.velocity))[site.blocks :]
        seen = [np.where(np.isin(np.asarray(velocity.block), more), np.nan, v) for v in seen]
        velocity = gb.Velocity.from_grid(*seen, known, IMAGES, sigma=SPEED_SIGMA, block_size=site.block_size)
        assert len(velocity.velocity) == site.blocks, f"{len(velocity.velocity)} blocks, wanted {site.blocks}"
    change = float(change) + share * BALANCE_SIGMA * rng.normal()
    observations = gb.Observations(velocity, gb.GeodeticBalance(change, BALANCE_SIGMA, *YEARS))
    speed = float(np.mean(np.hypot(*speeds)[thickness > 0]))
    of_it = (mean_height(known), scale_sigma_of(known, scale_sigma), fast_depth(known))
    nuisance = Known(*map(jnp.asarray, of_it))
    return Twin(known, observations, nuisance, site.temperature, speed)


def sites() -> list[Site]:
    """Seventeen glaciers from -22 to 0 degC, none between -14 and -8."""
    found = [
        Site(real("RGI60-11.01450", 600.0), -22.0, 2400.0),
        Site(real("RGI60-07.01044", 224.0), -4.0, 672.0),
        Site(real("RGI60-08.02650", 238.0), -2.0, 714.0),
    ]
    # ice that is cold is stiff: thicker, so that it shows
    for temperature, depth in (
        (-20.0, 430.0),
        (-18.0, 400.0),
        (-16.0, 370.0),
        (-14.3, 340.0),
        (-7.7, 255.0),
        (-6.0, 240.0),
        (0.0, 215.0),
    ):
        found += [
            Site(synthetic(depth * share, slope), temperature, 900.0, BLOCKS)
            for share, slope in ((1.0, 0.12), (0.92, 0.14))
        ]
    return found


def true_departure(temperature: np.ndarray) -> np.ndarray:
    """Of the twins' ln A from Cuffey and Paterson's: up to a factor 3, smooth but for a kink at -5 degC."""
    t = np.asarray(temperature)
    return 0.5 * np.cos(2 * np.pi * (t + 22) / 16) + 0.05 * np.abs(t + 5) - 0.35


def true_creep(temperature: np.ndarray) -> np.ndarray:
    """A of the twins, Pa-3 s-1."""
    table = np.asarray(gb.laws.cuffey_paterson(jnp.asarray(temperature, float)))
    return table * np.exp(true_departure(temperature))
