"""Arrays that grow piece by piece: of ten million objects, two copies at once would be most of the memory."""

from __future__ import annotations

import numpy as np

GROWTH = 1.25
"""How much larger an array becomes than it has to be: what is unused at the most is a quarter."""


class Growing:
    """Rows that come in pieces, all of one type, and lie in one array."""

    def __init__(self) -> None:
        self._rows: np.ndarray | None = None
        self._n = 0

    def add(self, piece: np.ndarray) -> None:
        """Put rows behind those that are there."""
        if self._rows is None:
            self._rows = np.empty((0, *piece.shape[1:]), piece.dtype)
        end = self._n + len(piece)
        if end > len(self._rows):
            self._resize(max(end, int(GROWTH * len(self._rows))))
        self._rows[self._n : end] = piece
        self._n = end

    def whole(self) -> np.ndarray:
        """Return all rows, at least one piece of them; nothing can be added any more."""
        assert self._rows is not None
        self._resize(self._n)
        return self._rows

    def _resize(self, n: int) -> None:
        """Change the length in place: the system moves pages, and no number is copied."""
        assert self._rows is not None
        self._rows.resize((n, *self._rows.shape[1:]), refcheck=False)
