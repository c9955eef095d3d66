"""The outcomes of a solve: an integer code that JAX can carry, and words for it."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import diffrax as dfx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float


class Result(IntEnum):
    """The outcome of a run. `Result(code).words` says it in words; only `OK` is a success."""

    OK = 0
    LEFT_WINDOW = 1
    STEP_LIMIT = 2
    NOT_A_NUMBER = 3
    NOT_CONVERGED = 4

    @property
    def words(self) -> str:
        """The outcome in words, as `History.result` gives it."""
        return RESULTS[self]


RESULTS = {
    Result.OK: "ok",
    Result.LEFT_WINDOW: "left the window",
    Result.STEP_LIMIT: "step limit",
    Result.NOT_A_NUMBER: "not a number",
    Result.NOT_CONVERGED: "solver did not converge",
}


def code_from_diffrax(result: Any, thickness: Float[Array, ...]) -> Float[Array, ""]:
    """The code of a finished solve, as a floating scalar that derivatives ignore.

    Args:
        result: the `result` of the solution of diffrax.
        thickness: what the solve saved, m. Dates that it did not reach are infinite, as diffrax leaves them.
    """
    step_limit = result == dfx.RESULTS.max_steps_reached
    not_a_number = (result == dfx.RESULTS.nonlinear_divergence) | jnp.any(jnp.isnan(thickness))
    failure = jnp.where(step_limit, Result.STEP_LIMIT, Result.NOT_CONVERGED)
    failure = jnp.where(not_a_number, Result.NOT_A_NUMBER, failure)
    succeeded = (result == dfx.RESULTS.successful) & jnp.all(jnp.isfinite(thickness))
    return lax.stop_gradient(jnp.where(succeeded, Result.OK, failure).astype(float))


def in_words(codes: Any) -> Any:
    """Codes of outcomes in words.

    Args:
        codes: one integer, or an array of them. It must be known, and not traced by JAX.

    Returns:
        A string for one code, and otherwise an array of strings of the same shape.
    """
    codes = np.asarray(codes)
    words = np.array([RESULTS[Result(int(code))] for code in codes.ravel()], dtype=object).reshape(codes.shape)
    return words.item() if codes.ndim == 0 else words
