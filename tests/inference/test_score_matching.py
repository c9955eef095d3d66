"""The Gaussian that matches gradients at its own draws."""

import jax
import numpy as np
import pytest

from glacierbayes.inference.start.score_matching import fit_gaussian_to_scores


def gaussian(size: int, seed: int):
    """Mean, covariance and target of one with standard deviations from 0.01 to 1."""
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(random.normal(size=(size, size)))
    covariance = (turn * np.geomspace(1e-4, 1.0, size)) @ turn.T
    mean, precision = random.normal(size=size), np.linalg.inv(covariance)
    return mean, covariance, lambda z: (0.5 * (z - mean) @ precision @ (z - mean), precision @ (z - mean))


@pytest.mark.parametrize("size", [1, 3, 60])
def test_a_gaussian_is_found_from_a_guess_that_is_eighteen_times_too_narrow_in_one_direction(size):
    mean, covariance, target = gaussian(size, seed=0)
    values, vectors = np.linalg.eigh(covariance)
    values[size // 2] /= 18.0**2
    root = np.linalg.cholesky(covariance)
    guess = mean + 0.5 * root.sum(1), (vectors * values) @ vectors.T
    found, spread = fit_gaussian_to_scores(target, *guess, jax.random.key(0))
    ratios = np.linalg.eigvalsh(np.linalg.solve(root, np.linalg.solve(root, spread).T))
    assert ratios.min() > 0.9 and ratios.max() < 1.1
    assert np.linalg.norm(np.linalg.solve(root, found - mean)) < 0.1 * np.sqrt(size)


def test_draws_where_the_density_is_zero_are_left_out_and_where_most_are_the_guess_stays():
    def cut(z):
        value, gradient = 0.5 * float(z @ z), z
        return (value, gradient) if z[0] < limit else (np.inf, np.zeros_like(z))

    limit = 1.0
    _, spread = fit_gaussian_to_scores(cut, np.zeros(2), np.eye(2), jax.random.key(0))
    assert np.allclose(spread, np.eye(2), atol=0.1)
    limit = -3.0
    mean, spread = fit_gaussian_to_scores(cut, np.zeros(2), np.eye(2), jax.random.key(0))
    assert np.array_equal(mean, np.zeros(2)) and np.array_equal(spread, np.eye(2))
