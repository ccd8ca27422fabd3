"""Graphs of a model of other widths: the sizes they are traced and run with are the model's."""

import pytest
import torch

from sambench.adapters.engines.graphs import TYPES, DecoderGraph, EncoderGraph
from tests.evsam.small_sam import small_sam


def shapes(tensors):
    return [(x.shape, x.dtype) for x in tensors]


@torch.inference_mode()
def test_an_encoder_graph_gives_what_memory_is_kept_for():
    graph = EncoderGraph(small_sam(), TYPES["fp32"])
    assert shapes([graph(*graph.example())]) == shapes(graph.results(*graph.example()))


@pytest.mark.parametrize("which", ["three", "single", "best"])
@pytest.mark.parametrize("with_masks", [False, True])
@torch.inference_mode()
def test_a_decoder_graph_gives_what_memory_is_kept_for(which, with_masks):
    model = small_sam()
    graph = DecoderGraph(
        model, model.prompt_encoder.get_dense_pe(), TYPES["fp32"], which, with_masks=with_masks
    )
    assert shapes(graph(*graph.example())) == shapes(graph.results(*graph.example()))
