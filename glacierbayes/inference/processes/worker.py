"""A process that works for `infer`: it looks for the mode, or draws."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from glacierbayes.errors import InputError
from glacierbayes.inference.chunks import write_arrays
from glacierbayes.inference.engines.nuts import run_chain
from glacierbayes.inference.engines.svi import run_svi
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.start.mode import find_start


def _read(stream: Any, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = stream.read(size - len(parts))
        if not part:
            sys.exit(1)  # the parent is gone
        parts += part
    return parts


def main() -> None:
    """A process: its task comes on standard input, its progress goes out as lines of JSON.

    Standard input stays open; its end means that the parent is gone, and with it the reason to go on.
    """
    import cloudpickle

    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a model prints is not progress
    incoming = os.fdopen(os.dup(0), "rb", buffering=0)
    task = cloudpickle.loads(_read(incoming, int.from_bytes(_read(incoming, 8), "big")))

    def watch() -> None:
        incoming.read(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

    def say(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    try:
        work(task, say)
    except InputError as error:  # the user's, to be said without the way here
        say({"input_error": str(error)})


def work(task: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
    """One task of `infer`."""
    glacier, observations = jax.tree.map(jnp.asarray, (task["glacier"], task["observations"]))
    problem = Problem(task["model"], glacier, observations, task["options"])
    folder, settings = task["folder"], task["settings"]
    match task["job"]:
        case "start":
            write_arrays(folder / "start.npz", find_start(problem, settings["seed"], settings["chains"]))
        case "nuts":
            run_chain(problem, task["chain"], folder, settings, say)
        case "svi":
            run_svi(problem, folder, settings, say)


if __name__ == "__main__":
    main()
