"""Which sample comes when: a function of seed and position alone, whatever the processes.

Positions count samples from the beginning of the training. Step t takes the positions from ``t * batch`` on;
so a training that goes on after any step, on any number of processes, repeats and loses none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sambench.evsam.errors import SambenchError


class Order:
    """Samples in the order of training: a permutation an epoch.

    Args:
        images: how many there are.
        seed: of the permutations.
    """

    def __init__(self, images: int, seed: int) -> None:
        self.images, self.seed = images, seed
        self._epoch, self._permutation = -1, np.zeros(0, np.int64)

    def at(self, position: int) -> tuple[int, int]:
        """Return epoch and index of the image at a position."""
        epoch, place = divmod(position, self.images)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, self.permutation(epoch)
        return epoch, int(self._permutation[place])

    def permutation(self, epoch: int) -> np.ndarray:
        """Return the images' indices in the order of an epoch."""
        return np.random.default_rng([self.seed, epoch]).permutation(self.images)


@dataclass(frozen=True)
class Share:
    """What one process takes of each step, in parts that fit its memory."""

    batch: int
    """Images a step, of all processes."""
    device_batch: int
    """Images a forward pass of one process."""
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        """See that the step divides.

        Raises:
            SambenchError: it does not.
        """
        at_once = self.device_batch * self.ranks
        if self.batch % at_once:
            raise SambenchError(
                f"batch {self.batch} is not a multiple of device_batch {self.device_batch} times "
                f"{self.ranks} processes: choose another device_batch, or a batch such as "
                f"{max(round(self.batch / at_once), 1) * at_once}."
            )

    @property
    def parts(self) -> int:
        """Forward passes a step."""
        return self.batch // (self.device_batch * self.ranks)

    def positions(self, first_step: int, steps: int) -> Iterator[list[int]]:
        """Return the positions of each forward pass, from a step on."""
        for step in range(first_step, steps):
            for part in range(self.parts):
                start = step * self.batch + (part * self.ranks + self.rank) * self.device_batch
                yield list(range(start, start + self.device_batch))
