"""The chain's kernel by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from glacierbayes.inference.nuts import LONGEST_STEP, Chain
from glacierbayes.inference.problem import Problem


def normals(glacier, observations):
    """Ten independent standard normals."""
    numpyro.sample("z", dist.Normal(jnp.zeros(10), 1.0))


def test_warm_up_takes_no_long_step_and_the_chain_keeps_the_target():
    chain = Chain(Problem(normals, None, None, {}), 300, {"mode": np.zeros(10), "covariance": np.eye(10)})
    state = chain.first_state(jax.random.key_data(jax.random.key(0)))
    places, accepted = [], []
    for i in range(1000):
        state = chain.advance(state)
        assert float(state.adapt_state.step_size) <= LONGEST_STEP
        if i >= 300:
            places.append(np.asarray(state.z))
            accepted.append(float(state.accept_prob))
    # the step size is the average of a noisy search
    assert 0.7 < np.mean(accepted) < 0.9
    squares = np.sum(np.square(places), 1)  # chi2 with 10 degrees of freedom
    assert abs(np.mean(squares) - 10) < 1.5  # 350 effective draws: six standard errors
