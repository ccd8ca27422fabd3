"""CUDA graphs: shapes and buffers on any machine, recording and replaying on a GPU."""

import pytest
import torch

from sambench import adapters
from sambench.adapters.base import Prompts
from sambench.adapters.engines.cuda_graph import Graphs, fill, padded_shape
from tests.golden import golden, official


def on_gpu(test):
    """Mark a test that needs a CUDA device."""
    return pytest.mark.gpu(pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")(test))


@pytest.mark.parametrize(("rows", "padded"), [(1, 1), (2, 2), (3, 4), (5, 8), (33, 64), (64, 64), (65, 128)])
def test_rows_are_rounded_up_to_a_power_of_two(rows, padded):
    assert padded_shape(torch.empty(rows, 3, 7), rows) == (padded, 3, 7)


def test_what_all_rows_share_keeps_its_one_row():
    assert padded_shape(torch.empty(1, 4096, 256), 5) == (1, 4096, 256)


def test_buffers_are_filled_from_the_front():
    buffers = (torch.full((4, 2), 9.0), torch.full((1, 2), 9.0))
    fill(buffers, (torch.ones(3, 2), torch.zeros(1, 2)))
    assert buffers[0][:, 0].tolist() == [1, 1, 1, 9]
    assert buffers[1].tolist() == [[0, 0]]


@on_gpu
def test_replays_compute_and_results_stay_as_they_were():
    graphs = Graphs(lambda x, y: ((x * y).sin(), x.sum(1)))
    kept = []
    for rows in (1, 3, 4, 2, 3, 7):
        x, y = torch.randn(rows, 5, device="cuda"), torch.randn(1, 5, device="cuda")
        kept.append((graphs(x, y), ((x * y).sin(), x.sum(1))))
        x.zero_()
    for got, want in kept:
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b)
    assert len(graphs._recordings) == 4  # 1, 2, 4 and 8 rows


@on_gpu
def test_a_compiled_model_on_a_gpu_gives_the_eager_masks(tmp_path):
    weights = str(official.write_checkpoint("efficientvit_sam_l0", tmp_path))
    eager = adapters.create("efficientvit_sam_l0", weights=weights, device="cuda")
    fast = adapters.create(
        "efficientvit_sam_l0", weights=weights, device="cuda", engine="compile", precision="fp16"
    )
    corners = torch.tensor([[60.0, 60.0, 300.0, 300.0]]) + 8 * torch.arange(11)[:, None]
    images = [golden.make_image(), golden.make_image(seed=1), golden.make_image(seed=2)]
    wanted, got = eager.encode(images), fast.encode(images)
    for n in (1, 3, 11):
        prompts = Prompts(boxes=corners[:n])
        a, b = eager.decode_best(wanted[0], prompts), fast.decode_best(got[0], prompts)
        both = ((a.logits > 0) & (b.logits > 0)).sum((1, 2))
        either = ((a.logits > 0) | (b.logits > 0)).sum((1, 2))
        assert (both / either.clamp(min=1)).mean() >= 0.99
    a = eager.decode_each(wanted, Prompts(boxes=corners[:3]))
    b = fast.decode_each(got, Prompts(boxes=corners[:3]))
    agree = (a.logits > 0) == (b.logits > 0)
    assert agree.float().mean() >= 0.99
