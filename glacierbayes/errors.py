"""Errors that tell the user what to change."""

from __future__ import annotations

from collections.abc import Mapping


class InputError(ValueError):
    """Bad input. Its text names the file, the variable, what was expected and how to mend it.

    The command line prints it in one to three lines and ends with exit status 2.
    """


def renamed(module: str, name: str, table: Mapping[str, str]) -> Exception:
    """The exception that a module's `__getattr__` raises for a name that it does not have.

    Args:
        module: full name of the module.
        name: the name that was asked for.
        table: for every old public name of the module, what to use instead, in words.

    Returns:
        An `ImportError` that says what to use instead of an old name, or the usual `AttributeError`.
    """
    if name in table:
        return ImportError(f"{module}.{name} was renamed or removed: use {table[name]}", name=name)
    return AttributeError(f"module {module!r} has no attribute {name!r}")
