"""Categories numbered otherwise are told by boxes that lie right under other names."""

import numpy as np
import pytest

from sambench.suites.data.detected.numbering import Named, numbered_otherwise

IDS = [1, 2, 3, 5, 8, 13, 21, 34]


def world(new, *, sure=1.0, seed=0, strays=0):
    """Annotated boxes found where they are, their categories numbered anew; some taken for others."""
    rng = np.random.default_rng(seed)
    for _ in range(4):
        boxes = np.concatenate([rng.uniform(0, 400, (6, 2)), rng.uniform(20, 90, (6, 2))], axis=1)
        own = rng.choice(IDS, 6)
        found = np.where(rng.random(6) < sure, own, rng.choice(IDS, 6))
        named = np.array([new(c) for c in found.tolist()])
        # a detector of many classes gives a box several names
        both = np.concatenate([boxes, np.repeat(boxes, strays, axis=0)])
        yield Named(both, np.concatenate([named, rng.choice(IDS, 6 * strays)]), boxes, own)


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (lambda c: c - 1, "they agree once 1 is added to each"),
        (lambda c: c + 1, "they agree once 1 is taken from each"),
        (IDS.index, "they agree as places in the list of categories, counted from 0"),
        (lambda c: IDS.index(c) + 1, "they agree as places in the list of categories, counted from 1"),
        (lambda c: 1000 + c, "are the categories numbered as in the annotations"),
    ],
)
def test_another_numbering_is_told(new, says):
    for sure in (1.0, 0.8):
        assert says in numbered_otherwise(list(world(new, sure=sure)), IDS)


@pytest.mark.parametrize("sure", [1.0, 0.6, 0.45])
def test_a_detector_that_takes_things_for_others_is_not_doubted(sure):
    for seed in range(20):
        assert numbered_otherwise(list(world(int, sure=sure, seed=seed, strays=1)), IDS) is None


def test_a_few_boxes_say_nothing():
    (first, *_) = world(lambda c: c + 1)
    few = Named(first.boxes[:4], first.categories[:4], first.objects[:4], first.object_categories[:4])
    assert numbered_otherwise([few], IDS) is None
    assert numbered_otherwise([], IDS) is None
