"""Arrays that grow by pieces, beside what numpy puts together."""

import tracemalloc

import numpy as np
import pytest

from sambench.suites.scoring.growing import Growing


@pytest.mark.parametrize("shape", [(), (3,)])
def test_pieces_lie_one_after_the_other(shape):
    rng, growing = np.random.default_rng(0), Growing()
    pieces = [rng.random((n, *shape)) for n in (0, 5, 1, 0, 40, 3, 3, 3, 500, 2)]
    for piece in pieces:
        growing.add(piece)
    np.testing.assert_array_equal(growing.whole(), np.concatenate(pieces), strict=True)


def test_growing_takes_no_second_copy_of_what_is_there():
    growing, piece = Growing(), np.ones(10**5)
    tracemalloc.start()
    for _ in range(60):
        growing.add(piece)
    held = growing.whole().nbytes
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < peak < 1.5 * held  # put together of its pieces it would be twice that
