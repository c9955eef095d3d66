"""A worker process of `infer`: it finds the start of the chains, or runs one chain."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

from glacierbayes.errors import InputError
from glacierbayes.inference.driver import Driver


def _read(stream: Any, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = stream.read(size - len(parts))
        if not part:
            sys.exit(1)  # the parent is gone
        parts += part
    return parts


def main() -> None:
    """Runs one job: it comes on standard input, its progress goes out as lines of JSON.

    Standard input stays open; its end means that the parent is gone, and with it the reason to go on.
    """
    import cloudpickle

    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a model prints is not progress
    incoming = os.fdopen(os.dup(0), "rb", buffering=0)
    task, chain = cloudpickle.loads(_read(incoming, int.from_bytes(_read(incoming, 8), "big")))

    def watch() -> None:
        incoming.read(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

    def report(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    try:
        driver = Driver(task, report)
        if chain is None:
            driver.find_start()
        else:
            driver.run_chain(chain)
    except InputError as error:  # an error of the user, which is reported without a traceback
        report({"input_error": str(error)})


if __name__ == "__main__":
    main()
