"""The protocol of an engine: whatever makes draws of a posterior, one transition after another.

An engine holds what stays the same during a run; everything that changes is in its state, a pytree of arrays with named
fields. The driver (`inference/driver.py`) calls the engine, writes chunks of draws with the state to disk, resumes from
them and shows the progress, so that an engine knows nothing of files, processes or chunks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from glacierbayes.inference.problem import Problem


class Draw(NamedTuple):
    """One draw as an engine records it.

    Attributes:
        vector: the unconstrained parameters, (parameter,).
        statistics: numbers about the draw, by name; `lp`, the log density of the vector, is always there.
    """

    vector: Float[Array, " parameter"]
    statistics: dict[str, Any]


class Engine(ABC):
    """A method that makes draws: `init` and `step`, `warm_up` apart from them, and `record`.

    An engine of your own is a subclass, given as `gb.infer(..., method=MyEngine)`.

    Attributes:
        name: how the method is called in `infer`, on the command line and in the result file.
        state_format: a number that grows whenever the fields of the state or their meaning change. A run is resumed
            only from states of the same number.
        markov_chain: whether the draws are Markov chains, which R-hat and effective sample sizes judge. Other draws
            carry the statistic `log_weight`, the log density of the draw less that of the approximation.
        trajectories: whether transitions follow trajectories, which diverge or not and have an energy, so that `check`
            asks for both.
    """

    name: ClassVar[str]
    state_format: ClassVar[int] = 1
    markov_chain: ClassVar[bool] = True
    trajectories: ClassVar[bool] = False

    def __init__(self, problem: Problem, start: Mapping[str, np.ndarray], warmup: int):
        """Prepares a run; nothing is compiled before the first transition.

        Args:
            problem: the model with its data, as a density of one unconstrained vector.
            start: what `start.mode.find_start` found: a mode, the mean and covariance of a Gaussian like the posterior,
                and the place, potential and gradient where each chain starts.
            warmup: number of transitions that adapt.
        """
        self.problem, self.start, self.warmup = problem, start, warmup

    @abstractmethod
    def init(self, key: Array, chain: int) -> Any:
        """The state before the first transition.

        Args:
            key: raw data of a random key; the state carries its own.
            chain: number of the chain, from 0.
        """

    @abstractmethod
    def warm_up(self, state: Any) -> Any:
        """The state after one more transition that adapts. It is called `warmup` times."""

    @abstractmethod
    def step(self, state: Any) -> Any:
        """The state after one more transition that adapts nothing."""

    @abstractmethod
    def record(self, state: Any) -> Draw:
        """The draw that is written for a state after the warm-up."""

    @abstractmethod
    def statistics(self, state: Any) -> dict[str, Any]:
        """Numbers about the last transition, by name, in the warm-up and after it."""

    def progress(self, statistics: Mapping[str, np.ndarray]) -> str:
        """What a reader is told of the transitions of one chunk, in a few words."""
        return ""

    def met_failed_solve(self, before: Any) -> Array | None:
        """The unconstrained vector at which a solve failed in the transition from a state; None where none failed.

        The driver asks after a transition whose statistic `diverging` is true.
        """
        return None


class TrajectoryEngine(Engine):
    """An engine whose transition evaluates the potential at many places, such as Hamiltonian Monte Carlo."""

    trajectories = True
    _witness: Callable | None = None

    @staticmethod
    @abstractmethod
    def transition(potential: Callable, state: Any) -> Any:
        """One transition, a pure function.

        Args:
            potential: minus the log density of a vector.
            state: before the transition.
        """

    def met_failed_solve(self, before: Any) -> Array | None:
        """See `Engine`. The transition is run again with a witness in the potential.

        A sampler turns the NaN of a failed solve into a divergence and keeps no trace of which it was. A witness in
        every run would keep the compiled kernel out of the cache.
        """
        if self._witness is None:

            def potential(vector: Array) -> Array:
                value = self.problem.potential(vector)
                jax.debug.callback(self._observe, vector, jnp.isfinite(value))
                return value

            self._witness = jax.jit(partial(self.transition, potential))
        self._failed_at: Array | None = None
        jax.block_until_ready(self._witness(before))
        jax.effects_barrier()
        return self._failed_at

    def _observe(self, vector: Array, finite: Array) -> None:
        if not finite:
            self._failed_at = vector
