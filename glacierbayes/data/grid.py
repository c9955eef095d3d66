"""Coarsening of a grid by blocks of whole cells with conservative means, and filling of gaps in the thickness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glacierbayes.errors import InputError

_BANDS = 20  # of elevation, of equal area
_BAND_CELLS = 10  # coarse cells of area that a band has at least


@dataclass(frozen=True)
class Blocks:
    """Square blocks of cells of the file, one for every coarse cell.

    Attributes:
        rows, columns: (coarse cell, factor) indices into the file's grid; those beyond it are padding.
        shape: (y, x) of the file's grid.
    """

    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]

    @property
    def factor(self) -> int:
        """Number of cells of the file along one side of a coarse cell."""
        return self.rows.shape[1]

    def gather(self, field: np.ndarray, outside: float | None = None) -> np.ndarray:
        """Returns the values of a field in every block, (coarse y, coarse x, factor^2).

        Args:
            field: (y, x) on the grid of the file.
            outside: value of the padding; None repeats the values of the edge.
        """
        rows = np.clip(self.rows, 0, self.shape[0] - 1)
        columns = np.clip(self.columns, 0, self.shape[1] - 1)
        values = field[rows[:, :, None, None], columns[None, None]]
        if outside is not None:
            known = (rows == self.rows)[:, :, None, None] & (columns == self.columns)[None, None]
            values = np.where(known, values, outside)
        return values.transpose(0, 2, 1, 3).reshape(self.rows.shape[0], self.columns.shape[0], -1)


def cover_grid(x: np.ndarray, y: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray, Blocks]:
    """Returns coarse cell centres x and y (m) and blocks that cover the grid, padded in the east and in the south.

    The padding follows the map and not the order of the rows, so that both orders of y give the same cells.
    """
    rows = _block_indices(y.size, factor, pad_last=bool(y[1] < y[0]))
    columns = _block_indices(x.size, factor, pad_last=bool(x[1] > x[0]))
    return _centres(x, columns), _centres(y, rows), Blocks(rows, columns, (y.size, x.size))


def _block_indices(size: int, factor: int, pad_last: bool) -> np.ndarray:
    count = -(-size // factor)
    first = 0 if pad_last else size - count * factor
    return first + np.arange(count * factor).reshape(count, factor)


def _centres(axis: np.ndarray, cells: np.ndarray) -> np.ndarray:
    step = (axis[-1] - axis[0]) / (axis.size - 1)
    return axis[0] + step * cells.mean(axis=1)


def align_blocks(x: np.ndarray, y: np.ndarray, coarse_x: np.ndarray, coarse_y: np.ndarray, where: str) -> Blocks:
    """Returns the blocks of cells of the file that make up the cells of a given coarse grid.

    Args:
        x, y: cell centres of the file, m.
        coarse_x, coarse_y: cell centres of the coarse grid, m.
        where: the file, for messages.

    Raises:
        InputError: the coarse cells are no whole blocks of file cells, or lie beyond the file.
    """
    columns = _align_axis("x", x, coarse_x, where)
    rows = _align_axis("y", y, coarse_y, where)
    return Blocks(rows, columns, (y.size, x.size))


def _align_axis(name: str, axis: np.ndarray, coarse: np.ndarray, where: str) -> np.ndarray:
    step = (axis[-1] - axis[0]) / (axis.size - 1)
    ratio = abs((coarse[-1] - coarse[0]) / (coarse.size - 1) / step)
    factor = max(1, int(np.floor(ratio + 0.5)))
    first = (coarse - axis[0]) / step - (factor - 1) / 2
    start = np.floor(first + 0.5).astype(int)
    fits = abs(ratio - factor) < 1e-3 * factor and np.abs(first - start).max() < 0.05
    if not fits or start.min() <= -factor or start.max() >= axis.size:
        raise InputError(
            f"{where}: the glacier's {name} (from {coarse.min():.1f} to {coarse.max():.1f} m, cells of "
            f"{abs(step) * ratio:.6g} m) are no whole blocks of the file's cells ({axis.min():.1f} to "
            f"{axis.max():.1f} m, {abs(step):.6g} m);\nread the glacier with read_oggm from the same directory"
        )
    return start[:, None] + np.arange(factor)


def coarsen(
    surface: np.ndarray, thickness: np.ndarray, mask: np.ndarray, coarse_y: np.ndarray, blocks: Blocks
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Returns bed and thickness (m) and outline on the coarse grid, and the factor that conserves the volume.

    A coarse cell is either ice or rock. It takes the means over those of its file cells that are the same, so that no
    valley wall enters the surface and the thickness of the ice. In every band of elevation the number of ice cells is
    the one that comes closest to the area of the outline, and the best covered cells are taken first: a plain
    threshold on coverage moved the mean elevation of Aletsch by 15 m at 400 m. One factor on their thickness conserves
    the volume.

    Args:
        surface, thickness: (y, x) on the file's grid, m; no ice outside `mask`.
        mask: (y, x) the outline.
        coarse_y: centres of the coarse rows, which settle ties by the map and not by the order of the rows.
        blocks: cells of the file in every coarse cell.
    """
    if blocks.factor == 1:
        return surface - thickness, thickness, mask, 1.0
    inside = blocks.gather(mask, outside=0.0).astype(bool)
    covered = inside.sum(axis=-1)
    ice = blocks.gather(thickness, outside=0.0).sum(axis=-1)
    cells = blocks.factor**2
    fine = blocks.gather(surface)
    height = (fine * inside).sum(axis=-1) / np.maximum(covered, 1)
    is_ice = _select_ice_cells(covered, cells, height, coarse_y)
    same_kind = inside == is_ice[..., None]
    coarse_surface = (fine * same_kind).sum(axis=-1) / same_kind.sum(axis=-1)
    mean = np.where(is_ice, ice / np.maximum(covered, 1), 0.0)
    factor = float(thickness.sum() / (mean.sum() * cells)) if mean.any() else 1.0
    return coarse_surface - mean * factor, mean * factor, is_ice, factor


def _select_ice_cells(covered: np.ndarray, cells: int, height: np.ndarray, coarse_y: np.ndarray) -> np.ndarray:
    """Selects the coarse cells that are ice: below the top of every band their area is the file's to half a cell."""
    shape = covered.shape
    touched = np.flatnonzero(covered.ravel() > 0)
    rows, columns = np.unravel_index(touched, shape)
    covered, height = covered.ravel()[touched], height.ravel()[touched]
    rising = np.argsort(height, kind="stable")
    area = np.cumsum(covered[rising]) / cells
    bands = int(np.clip(area[-1] / _BAND_CELLS, 1, _BANDS))
    band = np.minimum((area / area[-1] * bands).astype(int), bands - 1)
    is_ice, taken = np.zeros(shape, bool), 0
    for i in range(bands):
        in_band = rising[band == i]
        target = int(np.floor(area[band <= i][-1] + 0.5))
        # ties by the map, so that the order of the rows changes nothing
        best = np.lexsort((columns[in_band], -coarse_y[rows[in_band]], -covered[in_band]))
        chosen = in_band[best[: target - taken]]
        is_ice[rows[chosen], columns[chosen]] = True
        taken = target
    return is_ice


def mean_of_valid(field: np.ndarray, valid: np.ndarray, mask: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Returns the mean over the valid cells of the outline in every coarse cell, (coarse y, coarse x).

    It is NaN where less than half of the outline in a coarse cell is valid.
    """
    inside = blocks.gather(mask, outside=0.0).astype(bool)
    good = blocks.gather(valid, outside=0.0).astype(bool) & inside
    count = good.sum(axis=-1)
    total = np.where(good, blocks.gather(field), 0.0).sum(axis=-1)
    enough = (count > 0) & (2 * count >= inside.sum(axis=-1))
    return np.where(enough, total / np.maximum(count, 1), np.nan)


def fill_gaps(thickness: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns the thickness (y, x) with gaps filled inside the outline and 0 outside, and the number of gaps.

    A gap is a cell whose thickness is not finite or not above 0. It takes the solution of Laplace's equation between
    the known ice around it and thickness 0 beyond the outline. The outline must not touch the edge of the grid.
    """
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    known = mask & np.isfinite(thickness) & (thickness > 0)
    filled = np.where(known, thickness, 0.0)
    gaps = np.argwhere(mask & ~known)
    if gaps.size == 0 or not known.any():
        return filled, len(gaps)
    number = np.full(mask.shape, -1)
    number[gaps[:, 0], gaps[:, 1]] = np.arange(len(gaps))
    neighbours = gaps[:, None] + np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
    neighbour = number[neighbours[..., 0], neighbours[..., 1]]
    known_sum = np.where(neighbour < 0, filled[neighbours[..., 0], neighbours[..., 1]], 0.0).sum(axis=1)
    gap, side = np.nonzero(neighbour >= 0)
    links = sparse.coo_matrix((np.ones(gap.size), (gap, neighbour[gap, side])), shape=(len(gaps), len(gaps)))
    laplace = sparse.csc_matrix(4.0 * sparse.identity(len(gaps)) - links)
    filled[gaps[:, 0], gaps[:, 1]] = np.asarray(spsolve(laplace, known_sum))
    return filled, len(gaps)
