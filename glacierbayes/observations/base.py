"""The contract of one kind of observation: what was measured, what a model predicts for it, and how it errs."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax.core
import numpy as np
import numpyro
from numpyro.distributions import Distribution

from glacierbayes.declarations import DIVIDER, ObservedVariable, Variable
from glacierbayes.errors import InputError
from glacierbayes.sites import observed_variable
from glacierbayes.statistics import check_statistics


class Observation(eqx.Module):
    """One kind of data with its observation operator, its error model and its description.

    A subclass states `name`, `units`, `long_name` and `observed` (as fields, properties or attributes of the class),
    and defines `predict` and `distribution`. All else has a default. Nothing else of the package has to change: the
    data are sampled, stored with their units, checked, compared by leave-one-out cross-validation and drawn in the
    report.

    Attributes:
        name: of the observed site and of the variable in the result. Two observations of one glacier differ in it.
        units: unit of the observed and of the predicted values, such as "m yr-1".
        long_name: the observed quantity in words.
        observed: the observed values, an array of any shape, without NaN.
        dims: names of the dimensions of the values; by default the name of the site with `_dim_0` and so on.
        years: decimal years at which the run must save the thickness; none by default.
        modelled_name: name of the prediction without noise; by default `modelled_` and the name.
        modelled_long_name: the predicted quantity in words.
        statistics: names of the summary statistics of the fit, of `glacierbayes.statistics.STATISTICS`.
    """

    # A subclass may state each of these as a field, a property or an attribute of the class. Annotations at run time
    # would make them fields, which stand before its own.
    if TYPE_CHECKING:
        name: ClassVar[Any]
        units: ClassVar[Any]
        long_name: ClassVar[Any]
        observed: ClassVar[Any]
        dims: ClassVar[Any]
        years: ClassVar[Any]
        statistics: ClassVar[Any]
    dims = ()
    years = ()
    statistics = ("coverage_90", "median_difference")

    def __check_init__(self) -> None:
        """Refuses a subclass that leaves out a part of the contract."""
        missing = [name for name in ("name", "units", "long_name", "observed") if not hasattr(self, name)]
        if missing:
            raise InputError(
                f"{type(self).__name__}: has no {', '.join(missing)}; a subclass of gb.Observation states "
                "name, units, long_name and observed"
            )
        if DIVIDER in self.name:
            raise InputError(f"{type(self).__name__}: name is {self.name!r}, expected one without {DIVIDER!r}")

    @abc.abstractmethod
    def predict(self, result: Any) -> Any:
        """Predicts the observed quantity from what the model returns.

        Args:
            result: a `History` that saved `years`, or the predictions of a table where there is no glacier.

        Returns:
            An array of the shape of `observed`, in `units`, a differentiable function of the result.
        """

    @abc.abstractmethod
    def distribution(self, predicted: Any, errors: Mapping[str, Any]) -> Distribution:
        """The distribution of the observed values about the predicted ones.

        Args:
            predicted: what `expectation` returns.
            errors: what `sample_errors` returns.

        Returns:
            A NumPyro distribution that can be sampled. `log_likelihood` has one entry for every entry of its batch
            shape. Where the entries are correlated, the distribution gives a method `pointwise(value)` with the log
            density of each entry given all others.
        """

    def sample_errors(self) -> Mapping[str, Any]:
        """Samples the parameters of the error model through `glacierbayes.sites.sample`; none by default."""
        return {}

    def expectation(self, predicted: Any, errors: Mapping[str, Any]) -> Any:
        """What a product without noise would state, where that is not the prediction itself (a bias, a conversion)."""
        return predicted

    @property
    def coordinates(self) -> Mapping[str, Any]:
        """Values along the dimensions: an array, a list of labels or a `Variable`, by the name of the dimension."""
        return {}

    @property
    def constants(self) -> Mapping[str, Variable]:
        """Arrays to be stored beside the data, such as standard errors, by the name of the variable."""
        return {}

    @property
    def modelled_name(self) -> str:
        """Name of the variable with the prediction without noise."""
        return f"modelled_{self.name}"

    @property
    def modelled_long_name(self) -> str:
        """The predicted quantity in words."""
        return f"modelled {self.long_name}, without noise"

    def observe(self, result: Any, errors: Mapping[str, Any] | None = None) -> None:
        """Adds the prediction and the likelihood of these data to the model that calls it.

        Args:
            result: what the model returns, for `predict`.
            errors: parameters of the error model; None samples them from their priors.
        """
        errors = self.sample_errors() if errors is None else errors
        expected = self.expectation(self.predict(result), errors)
        observed_variable(self.name, self._describe)
        numpyro.deterministic(self.modelled_name, expected)
        numpyro.sample(self.name, self.distribution(expected, errors), obs=self.observed)

    def sample(self, *_: Any, **__: Any) -> None:
        """The former name of `observe`.

        Raises:
            InputError: always.
        """
        raise InputError(f"{type(self).__name__}.sample is now observe(result, errors), with errors by name")

    def _describe(self) -> ObservedVariable:
        check_statistics(tuple(self.statistics), type(self).__name__)
        rank = np.ndim(self.observed)
        dims = tuple(self.dims) or tuple(f"{self.name}_dim_{i}" for i in range(rank))
        if len(dims) != rank:
            raise InputError(
                f"{type(self).__name__}: dims is {dims}, expected {rank} names, one a dimension of observed"
            )
        coordinates = {
            dim: Variable((dim,), np.arange(size), "1", dim.replace("_", " "))
            for dim, size in zip(dims, np.shape(self.observed), strict=True)
        } | {
            dim: values if isinstance(values, Variable) else Variable((dim,), values, "1", dim.replace("_", " "))
            for dim, values in self.coordinates.items()
        }
        return ObservedVariable(
            modelled=self.modelled_name,
            dims=dims,
            units=self.units,
            long_name=self.long_name,
            modelled_long_name=self.modelled_long_name,
            statistics=tuple(self.statistics),
            coordinates=_concrete(coordinates),
            constants=_concrete({name: Variable(*constant) for name, constant in self.constants.items()}),
        )


def _concrete(variables: Mapping[str, Variable]) -> dict[str, Variable]:
    """The same with NumPy arrays; without those that a transformation of JAX traces and that have no values."""
    return {
        name: variable._replace(values=np.asarray(variable.values))
        for name, variable in variables.items()
        if not isinstance(variable.values, jax.core.Tracer)
    }
