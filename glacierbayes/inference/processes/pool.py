"""Processes for the chains: one for each chain, at most as many at once as there are cores.

They are ours and not a library's: a worker has to end when its parent is killed (`kill -9`), with a model that goes by
value from a notebook, progress on its way back, and one thread for each. A worker of an executor of the standard
library or of joblib goes on with its job, here for hours, when the parent is gone.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from queue import Queue
from typing import Any

import cloudpickle

from glacierbayes.errors import InputError
from glacierbayes.inference.driver import Driver, Task
from glacierbayes.inference.machine import cache_folder, cores
from glacierbayes.inference.processes import pickling

ReportProgress = Callable[[dict[str, Any]], None]


class WorkerFailed(RuntimeError):
    """The process of a chain ended before its job did."""


def _environment() -> dict[str, str]:
    """One thread for each process: the arrays are small, and there is a process for every core."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **single, "XLA_FLAGS": flags, "JAX_ENABLE_X64": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # where a script's modules are
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder()))
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
    return environment


def run_here(task: Task, report: ReportProgress) -> None:
    """Finds the start and runs the chains one after another in this process."""
    driver = Driver(task, report)
    driver.find_start()
    for chain in range(task.settings.chains):
        driver.run_chain(chain)


def run_in_processes(task: Task, chains: Sequence[int | None], report: ReportProgress, at_once: int) -> None:
    """Runs jobs of a task, each in a process of its own, and passes on their messages.

    Args:
        task: of the run.
        chains: numbers of the chains to run; None stands for the search for the start.
        report: is called in this process with every message.
        at_once: the largest number of processes at a time.

    Raises:
        InputError: a process found one.
        WorkerFailed: a process ended with an error; the others are ended too, their chunks stay.
    """
    messages: Queue[tuple[int, dict[str, Any] | None]] = Queue()
    waiting = list(enumerate(chains))
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
            while waiting and len(running) < at_once:
                index, chain = waiting.pop(0)
                running[index] = process = _start(task, chain)
                threading.Thread(target=listen, args=(index, process), daemon=True).start()
            index, message = messages.get()
            if message is not None:
                if "input_error" in message:
                    raise InputError(message["input_error"])
                report(message)
                continue
            code = running.pop(index).returncode
            if code:
                raise WorkerFailed(f"the process of job {index} ended with status {code}; its messages stand above")
    finally:
        for process in running.values():  # their listeners see the end and close the pipes
            process.kill()
            process.wait()


def run(task: Task, workers: int | None, report: ReportProgress) -> None:
    """Finds the start and runs all chains.

    Args:
        task: of the run.
        workers: largest number of processes at once; 0 for none but this one, None for one a core.
        report: is given a dict after every chunk.
    """
    if workers == 0:
        return run_here(task, report)
    at_once = cores() if workers is None else workers
    if not (task.folder / "start.npz").is_file():
        run_in_processes(task, [None], report, 1)
    run_in_processes(task, range(task.settings.chains), report, at_once)


def _start(task: Task, chain: int | None) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "glacierbayes.inference.processes.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(),
    )
    # between processes only, and by value: the other process may not find a notebook, a script or a model file
    for part in (task.model, task.engine):
        module = inspect.getmodule(part)
        if module is not None and not module.__name__.startswith("glacierbayes."):
            cloudpickle.register_pickle_by_value(module)
    payload = pickling.dumps((task, chain))
    assert process.stdin is not None
    process.stdin.write(len(payload).to_bytes(8, "big") + payload)
    process.stdin.flush()
    return process
