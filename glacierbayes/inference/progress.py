"""Progress of a run: bars in a terminal and in a notebook, plain lines on standard error elsewhere."""

from __future__ import annotations

import datetime
import sys
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from glacierbayes.inference.driver import Settings


class ProgressReport:
    """Shows the progress of the chains of a run; a context manager.

    Args:
        settings: sizes of the run.
        console: where it is shown; standard error by default.
    """

    def __init__(self, settings: Settings, console: Console | None = None):
        """Prepares the display; nothing is shown yet."""
        self._settings = settings
        self._console = console or Console(stderr=True)
        self._bars: Progress | None = None
        self._tasks: dict[int, TaskID] = {}
        if self._console.is_terminal or self._console.is_jupyter:
            name, text = TextColumn("{task.description}"), TextColumn("{task.fields[text]}")
            self._bars = Progress(name, BarColumn(), MofNCompleteColumn(), text, console=self._console)

    def __enter__(self) -> ProgressReport:
        """Starts the bars."""
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops the bars and leaves them as they are."""
        if self._bars is not None:
            self._bars.stop()

    def print_line(self, text: str) -> None:
        """Prints a line, above the bars where there are any."""
        if self._bars is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bars.console.print(text, highlight=False, markup=False)

    def update(self, message: dict[str, Any]) -> None:
        """Shows the progress of a chain after a chunk.

        Args:
            message: of the driver, with "chain", "position", "divergences", "text" and "left", seconds.
        """
        warmup, draws = self._settings.warmup, self._settings.draws
        position, chain = message["position"], message["chain"]
        phase = f"warm-up {position}/{warmup}" if position <= warmup else f"draws {position - warmup}/{draws}"
        divergences = message["divergences"]
        parts = [message["text"], "" if divergences is None else f"{divergences} divergences"]
        parts.append(f"{datetime.timedelta(seconds=round(message['left']))} left")
        text = ", ".join(part for part in parts if part)
        if self._bars is None:
            return self.print_line(f"chain {chain + 1}: {phase}, {text}")
        if chain not in self._tasks:
            self._tasks[chain] = self._bars.add_task(f"chain {chain + 1}", total=warmup + draws, text="")
        name = f"chain {chain + 1} {'warm-up' if position <= warmup else 'draws'}"
        self._bars.update(self._tasks[chain], completed=position, text=text, description=name)
        return None
