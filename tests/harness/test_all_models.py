"""Models of several families in one command: found in the weights folder, or a row with the reason."""

import pytest
from command import call, cell_of, cells_of

from sambench.reports.published import models_of
from tests.golden import official

pytestmark = pytest.mark.slow

THERE = ("mobile_sam", "edge_sam", "efficient_sam_ti", "efficientvit_sam_l0")
LIMIT = 1


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weights folder with some models' checkpoints, as their authors name and wrap them."""
    folder = tmp_path_factory.mktemp("weights")
    for model in THERE:
        official.write_checkpoint(model, folder)
    return folder


@pytest.fixture(scope="module")
def run(weights, coco_mini, tmp_path_factory):
    """The models of the paper's Table 1 and EfficientSAM-Ti on real images, clicks and boxes."""
    out = tmp_path_factory.mktemp("run") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMBENCH_WEIGHTS", str(weights))
        models = ",".join([*models_of("efficiency", "coco"), "efficient_sam_ti"])
        data = ["--dataset", "coco", "--images", coco_mini.images, "--annotations", coco_mini.annotations]
        command = ["run", "--models", models, "--suites", "gt_box,click", *data, "--limit", LIMIT]
        return call(*command, "--protocol", "paper", "--out", out), out


def test_every_model_is_a_row_and_missing_weights_are_its_reason(run, weights):
    done, out = run
    assert done.code == 1  # some cells failed; the others are finished
    models = {*models_of("efficiency", "coco"), "efficient_sam_ti"}
    assert {c["model"] for c in cells_of(out)} == models
    for model in models - set(THERE):
        cell = cell_of(out, model=model, suite="gt_box")
        assert cell["status"] == "failed"
        assert str(weights) in cell["reason"]
        assert f"sambench weights fetch {model}" in cell["reason"]


def test_models_whose_weights_are_there_are_measured(run):
    _, out = run
    counts = set()
    for model in THERE:
        cell = cell_of(out, model=model, suite="gt_box")
        assert cell["status"] == "done", cell["reason"]
        assert 0 <= cell["metrics"]["miou"] <= 100
        assert len(cell["provenance"]["weights"]["sha256"]) == 64
        counts.add(cell["n_instances"])
    assert len(counts) == 1  # all of them saw the same objects


def test_a_suite_that_a_model_cannot_take_is_not_applicable_and_says_why(run):
    done, out = run
    cell = cell_of(out, model="efficient_sam_ti", suite="click")
    assert cell["status"] == "not_applicable"
    assert cell["reason"] == "efficient_sam_ti: it takes no background points"
    assert "n/a" in done.out
    assert "it takes no background points" in (out / "report.html").read_text()
    assert cell_of(out, model="mobile_sam", suite="click")["status"] == "done"
