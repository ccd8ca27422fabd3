"""What of a cell's finished shards is to be computed again, before it is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sambench.evsam.errors import SambenchError
from sambench.harness.finish import CellState
from sambench.harness.store import DamagedError

TIMES = 3
"""That one command computes a shard, at most: more would not help a disk that does not keep it."""


def to_do_again(state: CellState, computed: Counter[int]) -> Iterator[tuple[int, str]]:
    """Check a finished cell's shards.

    A model's failure on an image may have been of the moment: where more images failed than this command
    allows, those that earlier commands left are tried once more, and then the cell has failed.

    Args:
        state: of the cell; it has failed where too many images did.
        computed: how often this command has computed each shard.

    Yields:
        Shards to compute again, and why, in a sentence.

    Raises:
        SambenchError: one is damaged however often it is written.
    """
    cell = state.cell
    if state.status != "done" or cell.is_settled:
        return
    try:
        state.checked = checked = cell.store.check()
    except DamagedError as error:
        if worn := [shard for shard in error.shards if computed[shard] >= TIMES]:
            raise SambenchError(
                f"{cell.store.path(worn[0])}: damaged again as soon as it is written. Check the disk, or "
                "choose another --out."
            ) from None
        for shard in error.shards:
            yield shard, f"{cell.store.path(shard)}: damaged; computing it again"
        return
    if len(checked.failed) <= cell.max_failures:
        return
    earlier = [shard for shard in checked.failed_in if not computed[shard]]
    for shard in earlier:
        yield shard, f"{cell.store.path(shard)}: has images that failed; trying them again"
    if not earlier:
        state.fail_on_images(checked.failed)
