"""What docs/add-a-model.md says of the questions that a model is asked, held against what the suites ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command import call, cell_of

from sambench.adapters import registry
from sambench.adapters.base import Prompts

ASKED = """
import json, os
from sambench.adapters.families.baselines import Ellipse

class Asked(Ellipse):
    def decode_batch(self, embedding, prompts, multimask):
        answer = super().decode_batch(embedding, prompts, multimask)
        labels = [] if prompts.labels is None else prompts.labels.tolist()
        whole = tuple(answer.logits.shape[2:]) == embedding.size
        with open(os.environ["ASKED"], "a") as file:
            print(json.dumps([len(prompts), labels, multimask, whole]), file=file)
        return answer
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("select", "multimask"), [("pred_iou", True), ("stability", True), ("single", False)]
)
def test_suites_ask_without_padding_and_take_logits_of_the_images_size(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select: str, multimask: bool
) -> None:
    (tmp_path / "asked.py").write_text(ASKED)
    monkeypatch.setenv("ASKED", str(tmp_path / "asked.jsonl"))
    config = tmp_path / "run.yaml"
    data = {"name": "shapes", "images": str(drawn / "shapes" / "images")}
    data["annotations"] = str(drawn / "shapes" / "annotations" / "instances.json")
    content = {"adapter": f"{tmp_path / 'asked.py'}:Asked", "suites": ["gt_box", "click"], "datasets": [data]}
    content |= {"protocol": {"preset": "strict", "select": select}, "limit": 2, "out": str(tmp_path / "run")}
    config.write_text(json.dumps(content))  # which is YAML too
    done = call("run", config)
    registry._added.clear()
    assert done.code == 0, done.err
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    questions = [one for one in asked if one[0]]
    assert {len(labels[0]) for _, labels, _, _ in questions if labels} == {1, 2, 3, 4, 5}
    assert any(not labels for _, labels, _, _ in questions), "boxes"
    for prompts, labels, alternatives, whole in questions:
        assert alternatives is multimask
        assert whole
        assert prompts <= 16  # its `prompt_batch`
        assert len({len(row) for row in labels}) <= 1, "as many points each"
        assert {label for row in labels for label in row} <= {0, 1}, "none is padding"
    assert cell_of(tmp_path / "run", suite="gt_box")["metrics"]["miou"] > 20


def test_a_padding_point_is_none_and_logits_of_several_sizes_are_no_batch() -> None:
    segmenter = registry.create("ellipse")
    wide, high = segmenter.encode(
        [torch.zeros(40, 60, 3).byte().numpy(), torch.zeros(50, 30, 3).byte().numpy()]
    )
    points = torch.tensor([[[20.0, 20], [0, 0]]])
    padded = Prompts(points=points, labels=torch.tensor([[1, -1]]))
    plain = Prompts(points=points[:, :1], labels=torch.tensor([[1]]))
    assert torch.equal(segmenter.decode(wide, padded).logits, segmenter.decode(wide, plain).logits)
    boxes = Prompts(boxes=torch.tensor([[5.0, 5, 20, 20], [5, 5, 20, 20]]))
    with pytest.raises(RuntimeError, match="Sizes of tensors"):
        segmenter.decode_each([wide, high], boxes)
