"""Several processes learn what one would."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainings import assert_close, gradients, in_ranks, trainer, training


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one_with_all_images(tmp_path: Path) -> None:
    alone = gradients(trainer(training(tmp_path, batch=4, device_batch=4, optimiser={"norms": "frozen"})))
    in_ranks(2, "gradients", tmp_path)
    for file in sorted(tmp_path.glob("shard-*.pt")):
        assert_close(alone, torch.load(file), 1e-5)
