"""What a law that is a function costs: a run and its gradient over those of Glen's law, on a real glacier.

Twenty years without balance. The network has two hidden layers of 16 tanh and takes thickness and slope at every face;
"in every stage" has it evaluated wherever the flux is, as a `FlowLaw` written by hand does. Then the families of
unknown functions, of thickness and slope, and at a slope that is averaged over two thicknesses, as in `sliding_law`;
Glen's law at that slope for comparison. They may turn over half their range, as in `sliding_law`; with a quarter, as in
`diffusivity_correction`, they have more weights.

    python experiments/law_cost.py DIRECTORY --resolutions 400 200 100
    python experiments/law_cost.py DIRECTORY --resolutions 400 --length 0.25
"""

import argparse
import time
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

import glacierbayes as gb
from glacierbayes import priors

GLEN = gb.laws.Glen(2.4e-24)
UNITS = 16
REPEATS = 9


class Network(gb.laws.Multiplier):
    """Weights of three layers, a row of biases in each of the first two."""

    first: jax.Array
    second: jax.Array
    last: jax.Array

    def log(self, ice):
        inputs = jnp.stack([ice.thickness / 500, ice.slope_squared / 0.1, jnp.ones_like(ice.thickness)])
        hidden = jnp.tanh(self.first.T @ inputs)
        hidden = jnp.tanh(self.second[:UNITS].T @ hidden + self.second[UNITS][:, None])
        return 0.1 * (self.last @ hidden)


class EveryStage(gb.laws.FlowLaw):
    """Glen's law times the network, evaluated wherever the flux is."""

    network: Network

    def mobility(self, ice):
        return tuple(jnp.exp(self.network.log(ice)) * part for part in GLEN.mobility(ice))


def seconds(function, law) -> float:
    """Of one call."""
    began = time.perf_counter()
    jax.block_until_ready(function(law))
    return time.perf_counter() - began


def ratio(function, law, base) -> float:
    """Over Glen's law, the median of some pairs: one after the other, what else the machine does falls on both."""
    seconds(function, law)
    return median(seconds(function, law) / seconds(base, GLEN) for _ in range(REPEATS))


def main() -> None:
    """Reads the command line, prints a row a resolution and law."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("glacier")
    parser.add_argument("--resolutions", type=float, nargs="+", default=[400.0, 200.0, 100.0])
    parser.add_argument("--length", type=float, default=0.5, help="of the functions, as a share of the range")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    shapes = ((3, UNITS), (UNITS + 1, UNITS), (UNITS,))
    network = Network(*(jnp.asarray(rng.normal(size=shape)) for shape in shapes))
    for resolution in options.resolutions:
        glacier = gb.read_oggm(options.glacier, resolution=resolution)

        def last(law, glacier=glacier):
            return gb.simulate(glacier, law).thickness[-1]

        run, gradient = jax.jit(last), jax.jit(jax.grad(lambda law: jnp.sum(last(law) ** 2)))
        glen = run, gradient
        taken = [median([seconds(one, GLEN) for _ in range(REPEATS)][1:]) for one in glen]  # the first compiles
        print(f"{resolution:g} m: Glen's law {taken[0]:.3f} s, gradient {taken[1]:.3f} s", flush=True)

        def line(label, functions, law, glen=glen, resolution=resolution):
            cost = [ratio(function, law, one) for function, one in zip(functions, glen, strict=True)]
            print(f"{resolution:g} m: {label} {cost[0]:.2f} times a run, {cost[1]:.2f} a gradient", flush=True)

        line("as a factor", glen, GLEN * network)
        line("Glen's law, slope averaged", glen, gb.laws.LongitudinalAverage(GLEN, 2.0))
        for name, family in priors.FAMILIES.items():
            inputs = priors.thickness_and_slope_inputs(glacier, share=options.length)
            of = family(tuple((i.low, i.high) for i in inputs), 0.7, tuple(i.length for i in inputs))
            weights = jnp.asarray(0.3 * rng.normal(size=of.size))

            for thicknesses, label in ((None, ""), (2.0, ", slope averaged")):

                def with_function(weights, last=last, of=of, thicknesses=thicknesses):
                    law = GLEN * gb.laws.Correction(gb.functions.UnknownFunction(of, weights))
                    return last(priors.average_slope(law, thicknesses))

                both = jax.jit(with_function), jax.jit(jax.grad(lambda w, f=with_function: jnp.sum(f(w) ** 2)))
                line(f"{name} of {of.size} weights{label}", both, weights)
        apart = jnp.sqrt(jnp.mean((run(GLEN * network) - run(EveryStage(network))) ** 2))
        slow = ratio(run, EveryStage(network), run)
        print(f"{resolution:g} m: in every stage {slow:.1f} times a run, {apart:.4f} m rms apart", flush=True)


if __name__ == "__main__":
    main()
