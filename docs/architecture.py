"""Draws docs/architecture.png: the rooms of the package and the imports between them, as they are in the source.

    python docs/architecture.py [FILE]

An arrow points from a room to one that it imports. An arrow that follows from others, through rooms in between, is thin
and grey. Arrows to `constants`, `errors` and `__init__` are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.import_graph import reachable, room_graph  # noqa: E402

LEFT_OUT = ("__init__", "constants", "errors")
SIZE = (1.72, 0.62)  # of a box
# column and row of every room, the rooms that import most on top
PLACES = {
    "cli": (4.6, 7.1),
    "demo": (6.3, 6.1),
    "data": (0.6, 5.0),
    "priors": (3.9, 5.0),
    "inference": (7.5, 5.0),
    "report": (10.2, 5.0),
    "observations": (5.0, 3.9),
    "draws": (9.3, 3.9),
    "solvers": (1.9, 2.9),
    "sites": (6.95, 1.7),
    "physics": (1.3, 1.75),
    "laws": (0.2, 0.6),
    "glacier": (2.3, 0.6),
    "functions": (4.2, 0.6),
    "distributions": (6.1, 0.6),
    "declarations": (8.0, 0.6),
    "statistics": (10.2, 0.6),
    "numerics": (0.2, -0.5),
}
COLOURS = {
    "#d9e8f5": ("laws", "physics", "solvers", "glacier", "numerics", "functions"),
    "#e3f0dc": ("observations", "priors", "sites", "distributions", "declarations"),
    "#fbe9d0": ("data",),
    "#efe0f0": ("inference", "draws", "report", "statistics"),
    "#eeeeee": ("cli", "demo"),
}
LEGEND = {
    "#fbe9d0": "data from outside",
    "#d9e8f5": "physics",
    "#e3f0dc": "model and observations",
    "#efe0f0": "draws and what is done with them",
    "#eeeeee": "commands",
}


def draw() -> Figure:
    """The picture of the rooms and of the imports between them.

    Raises:
        SystemExit: a room has no place in the picture.
    """
    graph = {name: used - set(LEFT_OUT) for name, used in room_graph().items() if name not in LEFT_OUT}
    missing = sorted(graph.keys() ^ PLACES.keys())
    if missing:
        raise SystemExit(f"docs/architecture.py: PLACES does not match the rooms: {', '.join(missing)}")
    figure = Figure(figsize=(11.5, 8.2), dpi=130, layout="constrained")
    axis = figure.subplots()
    for name, used in graph.items():
        for other in sorted(used):
            implied = any(other in reachable([between], graph) for between in used - {other})
            _arrow(axis, PLACES[name], PLACES[other], implied)
    for name, (x, y) in PLACES.items():
        colour = next(colour for colour, names in COLOURS.items() if name in names)
        width, height = SIZE
        corner = (x - width / 2, y - height / 2)
        style = {"boxstyle": "round,pad=0,rounding_size=0.1", "facecolor": colour, "edgecolor": "#444444"}
        axis.add_patch(FancyBboxPatch(corner, width, height, lw=0.9, zorder=3, **style))
        axis.text(x, y, name, ha="center", va="center", fontsize=12, zorder=4)
    for row, (colour, text) in enumerate(LEGEND.items()):
        axis.add_patch(FancyBboxPatch((-0.6, 7.25 - 0.32 * row), 0.24, 0.18, "round,pad=0", facecolor=colour, lw=0.6))
        axis.text(-0.22, 7.34 - 0.32 * row, text, va="center", fontsize=10)
    note = "An arrow points from a room to one that it imports; grey: also reached through another room.\n"
    axis.text(11.1, -0.5, note + f"Not drawn: imports of {', '.join(LEFT_OUT)}.", ha="right", va="center", fontsize=10)
    axis.set_xlim(-0.8, 11.2)
    axis.set_ylim(-0.95, 7.6)
    axis.set_axis_off()
    return figure


def _arrow(axis, start: tuple[float, float], end: tuple[float, float], implied: bool) -> None:
    (x0, y0), (x1, y1) = start, end
    below, above = y0 - SIZE[1] / 2, y1 + SIZE[1] / 2
    # from the bottom edge to the top edge, a little towards each other so that arrows do not meet in one point
    shift = max(-0.6, min(0.6, 0.12 * (x1 - x0)))
    line = {"color": "#b9b9b9", "lw": 0.8} if implied else {"color": "#333333", "lw": 1.5}
    axis.add_patch(
        FancyArrowPatch(
            (x0 + shift, below), (x1 - shift, above), arrowstyle="-|>", mutation_scale=12, zorder=1 if implied else 2,
            shrinkA=0, shrinkB=0, **line,
        )
    )  # fmt: skip


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    draw().savefig(target)
    print(target)
