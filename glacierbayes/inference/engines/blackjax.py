"""BlackJAX's NUTS after its own staged adaptation: another implementation against which ours can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.metric_recipes import lookup_recipe
from blackjax.adaptation.staged_adaptation import build_schedule
from blackjax.adaptation.step_size import DualAveragingAdaptationState, dual_averaging_adaptation
from blackjax.mcmc.hmc import HMCState
from jaxtyping import Array, Bool, Float, Int

from glacierbayes.inference.engines.base import Draw, TrajectoryEngine
from glacierbayes.inference.problem import Problem

TARGET_ACCEPTANCE = 0.8
METRIC = "welford_dense"


class BlackjaxState(NamedTuple):
    """A chain after a transition.

    Attributes:
        key: raw random key of the next transition.
        position: number of transitions so far.
        sampler: BlackJAX's state: unconstrained vector, its log density and the gradient of that.
        step_size: of the next trajectory.
        dual_averaging: state of the search for the step size.
        metric: state of the estimate of the mass matrix, with the inverse mass matrix of the next trajectory.
        energy, acceptance_rate, diverging, n_steps, tree_depth: of the last trajectory.
    """

    key: Array
    position: Int[Array, ""]
    sampler: HMCState
    step_size: Float[Array, ""]
    dual_averaging: DualAveragingAdaptationState
    metric: Any
    energy: Float[Array, ""]
    acceptance_rate: Float[Array, ""]
    diverging: Bool[Array, ""]
    n_steps: Int[Array, ""]
    tree_depth: Int[Array, ""]


class BlackjaxNuts(TrajectoryEngine):
    """`blackjax.nuts` with a dense mass matrix, adapted in Stan's stages from the Gaussian where chains start.

    The adaptation is `blackjax.staged_adaptation`, taken transition by transition so that it can be interrupted.
    """

    name = "blackjax"

    def __init__(self, problem: Problem, start: Mapping[str, np.ndarray], warmup: int):
        """See `Engine`."""
        super().__init__(problem, start, warmup)
        self._schedule = jnp.asarray([(stage, int(last)) for stage, last in build_schedule(warmup)], int)
        self._metric = lookup_recipe(METRIC).build_core(initial_inverse_mass_matrix=jnp.asarray(start["covariance"]))
        self._search = dual_averaging_adaptation(TARGET_ACCEPTANCE)
        self._move = jax.jit(partial(self.transition, problem.potential))
        self._learn = jax.jit(self._adapted)

    def init(self, key: Array, chain: int) -> BlackjaxState:
        """See `Engine`."""
        vector, potential, gradient = (jnp.asarray(self.start[n][chain]) for n in ("starts", "potentials", "gradients"))
        zero, none = jnp.zeros((), int), jnp.zeros(())
        return BlackjaxState(
            key=key,
            position=zero,
            sampler=HMCState(vector, -potential, -gradient),  # pyright: ignore[reportArgumentType]
            step_size=jnp.ones(()),
            dual_averaging=jax.tree.map(jnp.asarray, self._search[0](1.0)),
            metric=self._metric.init(vector.size),
            energy=potential,
            acceptance_rate=none,
            diverging=jnp.zeros((), bool),
            n_steps=zero,
            tree_depth=zero,
        )

    @staticmethod
    def transition(potential: Callable, state: BlackjaxState) -> BlackjaxState:
        """See `TrajectoryEngine`."""
        key, move = jax.random.split(state.key)
        kernel = blackjax.nuts.build_kernel()
        sampler, info = kernel(
            move, state.sampler, lambda vector: -potential(vector), state.step_size, state.metric.inverse_mass_matrix
        )
        return state._replace(
            key=key,
            position=state.position + 1,
            sampler=sampler,
            energy=info.energy,
            acceptance_rate=info.acceptance_rate,
            diverging=info.is_divergent,
            n_steps=info.num_integration_steps,
            tree_depth=info.num_trajectory_expansions,
        )

    def warm_up(self, state: BlackjaxState) -> BlackjaxState:
        """See `Engine`."""
        return self._learn(self._move(state))

    def step(self, state: BlackjaxState) -> BlackjaxState:
        """See `Engine`."""
        return self._move(state)

    def _adapted(self, state: BlackjaxState) -> BlackjaxState:
        """The step size after every transition, the mass matrix after every slow window, as Stan's schedule has it."""
        begin, update, average = self._search
        slow, window_ends = self._schedule[state.position - 1]
        sampler = state.sampler
        learnt = self._metric.update(state.metric, sampler.position, sampler.logdensity_grad)
        metric = jax.tree.map(lambda new, old: jnp.where(slow == 1, new, old), learnt, state.metric)
        search = update(state.dual_averaging, state.acceptance_rate)
        metric, search = jax.lax.cond(
            window_ends == 1,
            lambda: (self._metric.final(metric), jax.tree.map(jnp.asarray, begin(average(search)))),
            lambda: (metric, search),
        )
        last = state.position == self.warmup
        step_size = jnp.where(last, average(search), jnp.exp(search.log_step_size))
        return state._replace(step_size=step_size, dual_averaging=search, metric=metric)

    def record(self, state: BlackjaxState) -> Draw:
        """See `Engine`."""
        return Draw(jnp.asarray(state.sampler.position), {"lp": state.sampler.logdensity})

    def statistics(self, state: BlackjaxState) -> dict[str, Any]:
        """See `Engine`."""
        names = ("energy", "acceptance_rate", "diverging", "step_size", "n_steps", "tree_depth")
        return {name: getattr(state, name) for name in names}

    def progress(self, statistics: Mapping[str, np.ndarray]) -> str:
        """See `Engine`."""
        gradients = float(np.mean(statistics["n_steps"]))
        return f"step size {float(statistics['step_size'][-1]):.2g}, {gradients:.0f} gradients a draw"
