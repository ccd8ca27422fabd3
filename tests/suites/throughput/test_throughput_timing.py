"""Loops and the measured loop: order, overlap, warm-up. Never a tight time."""

from __future__ import annotations

import gc
import itertools
import time
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from speed_fakes import Counting, Known, box_logits

from sambench.suites.throughput.inputs import choose
from sambench.suites.throughput.job import MODES, QUICK, Scope, parse_scope
from sambench.suites.throughput.loops import loop
from sambench.suites.throughput.scopes import make_step
from sambench.suites.throughput.statistics import rate
from sambench.suites.throughput.timing import is_stable, measure

CPU = torch.device("cpu")
RULE = replace(
    QUICK["cpu"], warmup_s=0.0, warmup_window=1, warmup_tolerance=9.0, min_batches=6, min_seconds=0.0
)


@pytest.mark.parametrize("mode", MODES)
def test_batches_rotate_in_fixed_order(mode):
    step = Counting(batches=5)
    with closing(loop(step, CPU, mode)) as running:
        samples = list(itertools.islice(running, 12))
    assert [s.batch for s in samples] == [k % 5 for k in range(12)]
    assert step.computed[:12] == [k % 5 for k in range(12)]
    assert step.loaded[:12] == [k % 5 for k in range(12)]
    if mode != "compute":  # which brings nothing home
        assert step.stored[:11] == [k % 5 for k in range(11)]


@pytest.mark.parametrize("mode", MODES)
def test_an_audit_repeats_one_batch(mode):
    step = Counting(batches=5)
    with closing(loop(step, CPU, mode, batches=1)) as running:
        assert {s.batch for s in itertools.islice(running, 4)} == {0}
    assert set(step.computed) == {0}


def test_what_a_batch_takes_holds_what_its_mode_says():
    times = {}
    for mode in MODES:
        step = Counting(seconds=0.03, io_seconds=0.03)
        with closing(loop(step, CPU, mode)) as running:
            times[mode] = min(s.seconds for s in itertools.islice(running, 6))
    assert times["compute"] >= 0.03
    assert times["serial"] >= 0.09  # load, compute, store
    assert 0.03 <= times["pipelined"] < times["serial"]  # overlapped, yet nothing is skipped


def test_pipelined_seconds_add_up_to_the_wall_time():
    with closing(loop(Counting(seconds=0.02, io_seconds=0.01), CPU, "pipelined")) as running:
        next(running)
        began = time.perf_counter()
        total = sum(next(running).seconds for _ in range(10))
        wall = time.perf_counter() - began
    assert total == pytest.approx(wall, rel=0.1)  # without its reading or writing it were a third less


def test_an_error_in_a_thread_ends_the_loop():
    class Broken(Counting):
        def load(self, k):
            if k == 3:
                raise OSError("gone")
            return super().load(k)

    with pytest.raises(OSError, match="gone"), closing(loop(Broken(), CPU, "pipelined")) as running:
        list(itertools.islice(running, 9))


@pytest.mark.slow
def test_a_known_model_has_its_known_speed(coco_mini):
    images = choose(coco_mini.images, coco_mini.annotations, 4, 0)
    for name in ("E", "E2E"):
        step = make_step(Known(seconds=0.01), parse_scope(name), images, 4, 0)
        for mode in MODES:
            seconds = [s.seconds for s in measure(step, CPU, mode, RULE).samples]
            assert min(seconds) >= 0.04  # four images: no batch can be faster
            assert 10 < rate(seconds, 4) <= 100


def test_the_decoder_takes_all_its_prompts_in_the_models_own_batches(coco_mini):
    images = choose(coco_mini.images, coco_mini.annotations, 1, 0)
    step = make_step(Known(), parse_scope("D16"), images, 1, 0)
    for k in range(step.batches):
        (boxes,) = step.load(k)
        logits, iou = step.compute(k, (boxes,))
        assert boxes.shape == (16, 4)
        assert logits.shape[0] == iou.shape[0] == 16
        for box, found in zip(boxes, logits, strict=True):
            assert torch.equal(found, box_logits(box, images[k].stated))


def test_an_encoder_that_is_not_to_be_had_alone_is_timed_through_embed_and_says_so(coco_mini):
    images = choose(coco_mini.images, coco_mini.annotations, 2, 0)
    alone = make_step(Known(), Scope("E", "encoder", 0), images, 2, 0)
    through = make_step(Known(alone=False), Scope("E", "encoder", 0), images, 2, 0)
    assert alone.note == ""
    assert "embed" in through.note
    assert len(through.compute(0, through.load(0))) == 2  # an image each


def test_the_application_begins_with_files_and_ends_with_masks_at_the_images_size(coco_mini, monkeypatch):
    from sambench.suites.throughput import scopes

    encoded = []
    monkeypatch.setattr(scopes, "encode", encoded.append)
    images = choose(coco_mini.images, coco_mini.annotations, 2, 0)
    step = make_step(Known(), parse_scope("APP"), images, 2, 0)
    masks = step.compute(1, step.load(1))
    step.store(1, masks)
    for (mask,), i in zip(encoded, step.rotation[1].members, strict=True):
        image = images[i]
        assert mask.shape == image.stated
        expected = Known().upsample(box_logits(image.boxes[0], image.stated)[None], image.stated)[0] > 0
        assert (torch.from_numpy(mask) == expected).all()
    assert len(encoded) == 2
    assert step.rotation[0].members != step.rotation[1].members


STRICT = replace(QUICK["cpu"], warmup_window=3, warmup_tolerance=0.01)


@pytest.mark.parametrize(
    ("seconds", "stable"),
    [
        ([1.0] * 5, False),  # not two windows yet
        ([1.0] * 6, True),
        ([9.0, 9.0, 9.0, 1.0, 1.0, 1.0], False),
        ([9.0, 9.0, 9.0, *[1.0] * 6], True),
        ([1.0, 1.0, 1.0, 1.009, 1.009, 1.009], True),
        ([1.0, 1.0, 1.0, 1.011, 1.011, 1.011], False),
        ([1.0, 1.0, 1.0, 0.989, 0.989, 0.989], False),
        ([1.0, 50.0, 1.0, 1.0, 70.0, 1.0], True),  # medians: one hiccup is no trend
    ],
)
def test_the_warm_up_ends_when_two_windows_agree(seconds, stable):
    assert is_stable(seconds, STRICT) is stable


def test_the_warm_up_does_not_count_and_says_how_it_ended():
    step = Counting(seconds=0.01)
    never = replace(RULE, warmup_window=1000, warmup_limit_s=0.1, min_batches=4)
    found = measure(step, CPU, "compute", never)
    assert not found.warmup.stable
    assert found.warmup.seconds >= 0.1
    assert len(found.samples) == 4
    assert len(step.computed) == found.warmup.batches + 4
    least = replace(RULE, warmup_s=0.05, min_batches=2)
    assert measure(step, CPU, "compute", least).warmup.seconds >= 0.05


def test_a_measurement_goes_on_for_both_its_batches_and_its_time():
    step = Counting(seconds=0.005)
    long = measure(step, CPU, "compute", replace(RULE, min_batches=1, min_seconds=0.2))
    assert sum(s.seconds for s in long.samples) > 0.1
    assert len(long.samples) > 5
    many = measure(step, CPU, "compute", replace(RULE, min_batches=30, min_seconds=0.0))
    assert len(many.samples) == 30


def test_the_collector_rests_and_wakes_again_even_after_an_error():
    seen = []

    class Looking(Counting):
        def compute(self, k, given):
            seen.append((gc.isenabled(), torch.is_inference_mode_enabled()))
            if len(seen) > 3:
                raise RuntimeError("enough")
            return super().compute(k, given)

    with pytest.raises(RuntimeError, match="enough"):
        measure(Looking(), CPU, "serial", RULE)
    assert set(seen) == {(False, True)}
    assert gc.isenabled()
