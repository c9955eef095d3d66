"""Pickling by value, so that classes and functions of a notebook reach a process that cannot import them."""

from __future__ import annotations

import dataclasses
import inspect
import io
from typing import Any

import cloudpickle
import equinox as eqx

SPECIFICATION = ("default", "default_factory", "init", "repr", "hash", "compare", "metadata", "kw_only")


class _Pickler(cloudpickle.Pickler):
    """cloudpickle makes a class empty and fills it; Equinox reads the fields of a law when its class is made.

    Its laws could be made, but took no attributes: `FrozenInstanceError`.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Reduces an object as cloudpickle does; an Equinox module that goes by value is made with its fields."""
        reduced: Any = super().reducer_override(obj)
        if not (isinstance(obj, type) and issubclass(obj, eqx.Module) and isinstance(reduced, tuple)):
            return reduced
        make, args, (state, slots), *rest = reduced
        own = inspect.get_annotations(obj)
        fields = [field for field in dataclasses.fields(obj) if field.name in own]
        specifications = {field.name: _specification(field) for field in fields}
        # the values that dataclasses mark what is missing with do not survive pickling
        state = {name: value for name, value in state.items() if name != "__dataclass_fields__"}
        return _make_class, (make, args, own, specifications, "__init__" in state), (state, slots), *rest


def _specification(field: dataclasses.Field) -> dict[str, Any]:
    """The arguments of `dataclasses.field` that make such a field."""
    specification = {name: getattr(field, name) for name in SPECIFICATION}
    specification["metadata"] = dict(field.metadata)
    return {name: value for name, value in specification.items() if value is not dataclasses.MISSING}


def _make_class(make: Any, args: tuple, annotations: dict, specifications: dict, own_init: bool) -> type:
    """Makes the class with its fields; cloudpickle sets its other attributes later, including an `__init__`."""
    constructor, name, bases, namespace, *rest = args
    namespace = {**namespace, "__annotations__": annotations}
    namespace |= {name: dataclasses.field(**specification) for name, specification in specifications.items()}
    if own_init:
        namespace["__init__"] = _init_placeholder
    return make(constructor, name, bases, namespace, *rest)


def _init_placeholder(self: Any) -> None:
    """Takes the place of an `__init__` that is set afterwards."""


def dumps(value: Any) -> bytes:
    """Pickles an object as `cloudpickle.dumps` does; `pickle.loads` reads it."""
    with io.BytesIO() as file:
        _Pickler(file).dump(value)
        return file.getvalue()
