"""A small glacier and a model of it that samples in seconds."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import glacierbayes as gb
from glacierbayes import priors

YEARS = (2000.0, 2002.0)
ERRORS = {"discrepancy": 1.0, "correlation_length": 500.0, "degrees_of_freedom": 10.0}


def glacier() -> gb.Glacier:
    x, y = np.arange(14) * 200.0, np.arange(9) * 200.0
    across = (y - y.mean())[:, None]
    bed = 3000.0 - 0.12 * x[None] + 300.0 * (across / 800.0) ** 2
    thickness = np.maximum(0.0, 150.0 - 250.0 * (across / 800.0) ** 2) * np.ones_like(bed)
    thickness[:, :2] = thickness[:, -2:] = 0.0
    return gb.Glacier(bed, thickness, x, y, mask=thickness > 0, thickness_product="test")


def observations(ice: gb.Glacier, creep: float = 2e-24) -> gb.Observations:
    history = gb.simulate(ice, gb.laws.Glen(A=creep), None, years=YEARS)
    vx, vy = (np.asarray(v) for v in history.surface_velocity(2002.0))
    noise = np.random.default_rng(0).normal(0.0, 1.0, (2, *vx.shape))
    velocity = gb.Velocity.from_grid(vx + noise[0], vy + noise[1], ice, 2002.0, sigma=1.0, block_size=400.0)
    return gb.Observations(velocity=velocity)


def standing(glacier, law, balance=None, years=YEARS, save_at=(), **_) -> gb.History:
    """In place of `gb.simulate` where a test needs no run: the ice stands still, and its velocity is the law's.

    It fails where the law is not a number.
    """
    time = tuple(sorted({*years, *save_at}))
    zero = jnp.zeros(())
    ok = jnp.isfinite(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(law)))
    thickness = jnp.broadcast_to(jnp.where(ok, glacier.thickness, jnp.nan), (len(time), *glacier.thickness.shape))
    code = jnp.where(ok, gb.solvers.Result.OK, gb.solvers.Result.NOT_A_NUMBER)
    return gb.History(time, thickness, zero, zero, zero, code, glacier, law)


def model(glacier, observations=None, *, limit=np.inf, run=gb.simulate):
    """Creep alone; above the limit the law is not a number, and the solve fails."""
    log_speed = priors.sample("log_creep", dist.Normal(0.0, 1.0), "1", "log of the creep parameter over 2e-24")
    creep = priors.derived("creep_parameter", 2e-24 * jnp.exp(log_speed), "Pa-3 s-1", "creep parameter")
    law = gb.laws.Glen(A=jnp.where(log_speed > limit, jnp.nan, creep))
    history = run(glacier, law, None, years=YEARS)
    numpyro.factor("solver", jnp.where(history.ok, 0.0, -jnp.inf))
    if observations is not None:
        observations.velocity.observe(history, ERRORS)
    return history
