"""Windows are squares of neighbours, and the map again when they are put together."""

import numpy as np
import pytest
import torch

from sambench.adapters.modules.windows import from_windows, to_windows


@pytest.mark.parametrize("size", [(6, 6), (5, 7), (2, 9), (3, 4)])
def test_windows_put_together_are_the_map_again(size):
    x = torch.randn(2, *size, 4)
    windows = to_windows(x, 3)
    columns = -(-size[1] // 3)
    assert windows.shape == (2 * -(-size[0] // 3) * columns, 3, 3, 4)
    assert torch.equal(from_windows(windows, size), x)
    second_image = windows[len(windows) // 2 :]
    for (i, j), pixel in zip(np.ndindex(size), x[1].flatten(0, 1), strict=True):
        assert torch.equal(second_image[i // 3 * columns + j // 3, i % 3, j % 3], pixel)


def test_windows_are_filled_with_zeros():
    windows = to_windows(torch.ones(1, 4, 4, 1), 3)
    assert windows.sum(dim=(1, 2, 3)).tolist() == [9, 3, 3, 1]
