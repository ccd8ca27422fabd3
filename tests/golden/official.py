"""The official models' key layouts, and checkpoints of them with deterministic weights.

    python -m tests.golden.official --out DIR [MODEL ...]

writes such checkpoints under their upstream names, so that ``SAMBENCH_WEIGHTS=DIR sambench run`` finds them.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import torch

from sambench.adapters.weights.upstream import upstreams
from tests.golden import golden

HERE = Path(__file__).parent

MANIFESTS = {
    "edge_sam_3x": "edge_sam",
    "efficient_sam_ti": "efficient_sam_vitt",
    "efficient_sam_s": "efficient_sam_vits",
}
"""Models whose golden files have another name."""

OUTER_KEY = {"efficient_sam_ti": "model", "efficient_sam_s": "model"}
"""Where the released file wraps its state dict (each manifest's ``checkpoint_layout``)."""

MODELS = [
    "sam_vit_b",
    "sam_vit_l",
    "sam_vit_h",
    "mobile_sam",
    "edge_sam",
    "edge_sam_3x",
    "efficient_sam_ti",
    "efficient_sam_s",
    "efficientvit_sam_l0",
    "efficientvit_sam_l1",
    "efficientvit_sam_l2",
    "efficientvit_sam_xl0",
    "efficientvit_sam_xl1",
]


def official_keys(model: str) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the official state dict."""
    with gzip.open(HERE / "manifest" / f"{MANIFESTS.get(model, model)}.json.gz", "rt") as file:
        return {key: tuple(shape) for key, shape in json.load(file)["keys"].items()}


def outputs(model: str) -> dict:
    """What the official implementation computes with the deterministic weights."""
    return golden.load_golden(str(HERE / "outputs" / f"{MANIFESTS.get(model, model)}.npz"))


def write_checkpoint(model: str, folder: Path) -> Path:
    """Write a checkpoint as the authors release it, under its upstream name."""
    state = golden.fill_from_shapes(official_keys(model))
    path = folder / upstreams()[model].location
    torch.save({OUTER_KEY[model]: state} if model in OUTER_KEY else state, path)
    return path


def main() -> None:
    """Write the checkpoints asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for model in given.models:
        print(write_checkpoint(model, given.out))


if __name__ == "__main__":
    main()
