"""The engines that come with the package, by the name of their method."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from glacierbayes.errors import InputError

if TYPE_CHECKING:
    from glacierbayes.inference.engines.base import Engine

# loaded when they are asked for: BlackJAX takes a second to import
ENGINES = {
    "nuts": "glacierbayes.inference.engines.nuts:Nuts",
    "svi": "glacierbayes.inference.engines.svi:Svi",
    "blackjax": "glacierbayes.inference.engines.blackjax:BlackjaxNuts",
}


def find_engine(method: str | type[Engine]) -> type[Engine]:
    """Returns the class of an engine.

    Args:
        method: the name of one that comes with the package, or a subclass of `Engine`.

    Raises:
        InputError: no engine has this name, or the class is no engine.
    """
    from glacierbayes.inference.engines.base import Engine

    if isinstance(method, type) and issubclass(method, Engine):
        return method
    if not isinstance(method, str) or method not in ENGINES:
        raise InputError(f'method "{method}" is not known: expected {", ".join(ENGINES)}, or a subclass of gb.Engine')
    module, _, name = ENGINES[method].partition(":")
    return getattr(importlib.import_module(module), name)
