"""What a training is told: presets as paper and code have them, and mistakes that are named."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from sambench.evsam.errors import SambenchError
from sambench.evsam.train.recipe import Finetune, Optimiser
from sambench.harness.train.config import Distilling, Finetuning, read_training

REPOSITORY = Path(__file__).parents[3]
CONFIGS = REPOSITORY / "configs" / "train"
DOCS = REPOSITORY / "docs" / "training.md"
VARIANTS = ("l0", "l1", "l2", "xl0", "xl1")


@pytest.fixture(autouse=True)
def places(monkeypatch):
    monkeypatch.setenv("SA1B", "/data/sa1b")
    monkeypatch.setenv("SAM_VIT_H", "/weights/sam_vit_h.pth")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_papers_preset(variant):
    found = read_training(Finetuning, CONFIGS / f"paper_{variant}.yaml", {})
    assert found.model == f"efficientvit_sam_{variant}"
    assert found.sam == "/weights/sam_vit_h.pth"
    assert found.recipe == Finetune(mask_loss="focal", pixels="all", mask_weight=20, points=(1, 10))
    assert found.optimiser == Optimiser(lr=1e-6 if variant.startswith("xl") else 2e-6)
    assert (found.batch, found.epochs) == (256, 2)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_released_codes_preset(variant):
    found = read_training(Finetuning, CONFIGS / f"released_{variant}.yaml", {})
    assert found.recipe == Finetune(resize="tensor", mask_loss="bce", pixels="uncertain")
    lr = 4e-7 if variant.startswith("xl") else 8e-7
    assert found.optimiser == Optimiser(lr=lr, lr_per_rank=True, clip="value", clip_at=2.0)
    assert (found.device_batch, found.epochs, found.precision) == (4, 2, "fp32")


def test_flags_win_and_steps_take_the_place_of_epochs(tmp_path):
    flags = {"steps": 8, "out": tmp_path, "device": "cpu", "seed": None}
    found = read_training(Finetuning, CONFIGS / "paper_l0.yaml", flags)
    assert (found.steps, found.epochs, found.out, found.device, found.seed) == (8, None, tmp_path, "cpu", 0)


CONTENT = {"model": "mobile_sam", "out": "runs/x", "steps": 3, "data": {"format": "shapes"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": {"clikcs": 1}}, r"recipe: no key 'clikcs'. Did you mean 'clicks'\?"),
        ({"optimiser": {"lr": "fast"}}, r"optimiser.lr must be a number from 0, not 'fast'"),
        ({"optimiser": {"lr": float("nan")}}, r"optimiser.lr must be a number from 0, not nan"),
        ({"optimiser": {"betas": [0.9]}}, r"optimiser.betas must be 2 values, not \[0.9\]"),
        (
            {"recipe": {"mask_loss": "focus"}},
            r"mask_loss is 'focus'; it can be focal, bce. Did you mean 'focal'",
        ),
        ({"batch": 2.5}, r"batch must be a whole number from 0, not 2.5"),
        ({"compile": "yes please"}, r"compile must be true or false, not 'yes please'"),
        ({"data": "shapes"}, r"data: must be a mapping of keys to values, not 'shapes'"),
        ({"data": {}}, r"data: has no format. Add it\."),
        ({"epochs": 2}, r"say either steps or epochs"),
        ({"steps": None}, r"say either steps or epochs"),
        ({"model": None}, r"has no model. Add it, or give it with --model"),
        ({"weights": "${NO_SUCH_PLACE}/a.pt"}, r"NO_SUCH_PLACE is not set"),
        ({"optimiser": {"frozen": "image_encoder"}}, r"optimiser.frozen must be a list"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    path = tmp_path / "t.yaml"
    content = {key: value for key, value in (CONTENT | change).items() if value is not None}
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(SambenchError, match=message):
        read_training(Finetuning, path, {})


def test_yaml_takes_rates_without_a_dot_for_text_and_they_are_read_all_the_same(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(CONTENT) + "optimiser: {lr: 2e-6}\n")
    assert read_training(Finetuning, path, {}).optimiser.lr == 2e-6


@pytest.mark.parametrize("kind", [Finetuning, Distilling])
def test_the_page_has_every_key(kind):
    page = DOCS.read_text()

    def keys(one):
        for field in dataclasses.fields(one):
            yield field.name
            inner = field.default_factory if dataclasses.is_dataclass(field.default_factory) else None
            if inner is not None:
                yield from keys(inner)

    missing = [name for name in keys(kind) if not re.search(rf"`{name}`", page)]
    assert not missing
