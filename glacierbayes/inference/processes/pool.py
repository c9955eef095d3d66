"""Processes for the chains: one a chain, at most as many at once as there are cores."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import cloudpickle

from glacierbayes.errors import InputError
from glacierbayes.inference.processes import pickling


class WorkerFailed(RuntimeError):
    """A chain's process ended before its task did."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder() -> Path:
    """Where compiled programs are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "glacierbayes" / "jax"


def _environment() -> dict[str, str]:
    """One thread a process: the arrays are small, and there is a process for every core."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **single, "XLA_FLAGS": flags, "JAX_ENABLE_X64": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # where a script's modules are
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder()))
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
    return environment


def run_workers(tasks: list[dict[str, Any]], say: Callable[[dict[str, Any]], None]) -> None:
    """Runs every task in a process of its own and passes on what they say.

    Args:
        tasks: for `worker.main`.
        say: is called in this process with every message.

    Raises:
        InputError: a process found one.
        WorkerFailed: a process ended with an error; the others are ended too, their chunks stay.
    """
    messages: Queue[tuple[int, dict[str, Any] | None]] = Queue()
    waiting = list(enumerate(tasks))
    running: dict[int, subprocess.Popen] = {}

    def listen(index: int, process: subprocess.Popen) -> None:
        assert process.stdout is not None and process.stdin is not None
        with process.stdin, process.stdout:
            for line in process.stdout:
                messages.put((index, json.loads(line)))
            process.wait()
        messages.put((index, None))

    try:
        while waiting or running:
            while waiting and len(running) < cores():
                index, task = waiting.pop(0)
                running[index] = process = _start(task)
                threading.Thread(target=listen, args=(index, process), daemon=True).start()
            index, message = messages.get()
            if message is not None:
                if "input_error" in message:
                    raise InputError(message["input_error"])
                say(message)
                continue
            code = running.pop(index).returncode
            if code:
                raise WorkerFailed(f"the process of task {index} ended with status {code}; what it said stands above")
    finally:
        for process in running.values():  # their listeners see the end and close the pipes
            process.kill()
            process.wait()


def _start(task: dict[str, Any]) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "glacierbayes.inference.processes.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(),
    )
    # between processes only, and by value: the other process may not find a notebook, a script or a model file
    module = inspect.getmodule(task["model"])
    if module is not None and not module.__name__.startswith("glacierbayes."):
        cloudpickle.register_pickle_by_value(module)
    payload = pickling.dumps(task)
    assert process.stdin is not None
    process.stdin.write(len(payload).to_bytes(8, "big") + payload)
    process.stdin.flush()
    return process
