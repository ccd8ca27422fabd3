"""Of many samples of a population of images, 95 in 100 have the truth within their interval."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from sambench.suites.scoring import bootstrap, evidence
from sambench.suites.scoring.ground_truth import Dense
from sambench.suites.scoring.matches import Matches
from sambench.suites.scoring.matching import Matched
from sambench.suites.scoring.objects import Column, Objects

pytestmark = pytest.mark.slow
POPULATION, SAMPLES, IMAGES = 20_000, 400, 150
SLACK = 2 * (0.95 * 0.05 / SAMPLES) ** 0.5
"""Two standard errors of a share of 0.95 of so many samples: 0.022."""


@pytest.fixture(autouse=True)
def fewer_draws_made_once(monkeypatch):
    """Fewer resamples, which moves the ends a little; all samples have as many images, and the same draws."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 400)
    (drawn,) = bootstrap.draws(np.zeros(IMAGES), 400)
    monkeypatch.setattr(evidence, "draws", lambda strata, _: [drawn])


def crowded(rng):
    """Hard and easy images: how hard each is, and of its objects, more where it is hard, the images."""
    hardness = rng.normal(size=POPULATION)
    return hardness, np.repeat(np.arange(POPULATION), 1 + rng.poisson(np.exp(0.5 + 0.4 * hardness)))


def quality(rng, hardness, image):
    """IoU of each object, which goes with its image."""
    return 1 / (1 + np.exp(-(1.6 - hardness[image] + 0.8 * rng.normal(size=len(image)))))


def detected(rng, categories=2):
    """Objects that are found with an IoU, surer the better, and on hard images more that are none."""
    hardness, objects = crowded(rng)
    iou = quality(rng, hardness, objects)
    strays = np.repeat(np.arange(POPULATION), rng.poisson(np.exp(0.5 * hardness)))
    image = np.concatenate([objects, strays])
    category = rng.integers(1, categories + 1, len(image))
    score = np.concatenate([iou + 0.15 * rng.normal(size=len(iou)), rng.normal(0.45, 0.2, len(strays))])
    thresholds = np.concatenate([np.clip(np.floor(20 * iou - 9), 0, 10).astype(int), strays * 0])
    found, counted = (np.zeros((len(image), 4), np.uint16) for _ in range(2))
    found[:, 0], counted[:, 0] = (1 << thresholds) - 1, 1023
    looked_for = np.zeros((len(objects), 4), bool)
    looked_for[:, 0] = True
    own = category[: len(objects)]
    truth = SimpleNamespace(
        images=Dense(range(POPULATION)),
        categories=Dense(range(1, categories + 1)),
        style="coco",
        listed_categories=lambda: [{"id": c} for c in range(1, categories + 1)],
    )
    matched = Matched(image + 1, category, score, found, counted, objects + 1, own, looked_for)
    return Matches.of(truth, matched).only("ap")


def segmented(rng):
    """Objects with the IoU of their masks."""
    hardness, image = crowded(rng)
    iou = quality(rng, hardness, image)
    return Objects(
        (Column("miou", 0, 0),),
        image,
        np.arange(len(image)),
        np.ones(len(image), np.int64),
        iou[:, None],
        np.ones((len(image), 1), bool),
    )


def samples_of(population, rng):
    """Some images of the population, again and again."""
    for _ in range(SAMPLES):
        chosen = np.sort(rng.choice(POPULATION, IMAGES, replace=False))
        if isinstance(population, Matches):
            yield population.shared(SimpleNamespace(images=chosen))
        else:
            rows = np.isin(population.image, chosen)
            parts = ("image", "ann_id", "category", "values", "groups")
            yield dataclasses.replace(population, **{part: getattr(population, part)[rows] for part in parts})


def share_within(samples, name, truth):
    ends = [sample.intervals()[name] for sample in samples]
    return np.mean([low <= truth <= high for low, high in ends])


def test_of_average_precision():
    rng = np.random.default_rng(0)
    population = detected(rng)
    within = share_within(samples_of(population, rng), "ap", population.numbers()["ap"])
    assert 0.93 - SLACK <= within <= 0.97 + SLACK


def test_of_mean_iou():
    rng = np.random.default_rng(0)
    population = segmented(rng)
    truth = population.numbers()["miou"]
    assert 0.93 - SLACK <= share_within(samples_of(population, rng), "miou", truth) <= 0.97 + SLACK
