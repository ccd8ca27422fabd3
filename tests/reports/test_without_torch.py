"""A report needs neither torch nor what runs models: a laptop makes it from a folder of results."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fake_runs import cell, write_run

ALONE = """
import sys
for name in ("torch", "torchvision", "transformers", "hotcoco", "onnxruntime", "ultralytics"):
    sys.modules[name] = None  # an import of it fails
from sambench.harness.cli import main
sys.argv = ["sambench", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("command", ["report", "published"])
def test_no_model_library_is_imported(tmp_path, command):
    run = write_run(tmp_path / "run", [cell(), cell("sam_vit_h", "click")])
    arguments = {"report": ["report", str(run)], "published": ["published", "--model", "mobile_sam"]}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *arguments[command]], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    if command == "report":
        assert "EfficientViT-SAM-XL1" in (run / "report.html").read_text()
        assert (run / "tables" / "table-3.tex").exists()
        assert (run / "figures" / "gt_box-coco-1.pdf").read_bytes().startswith(b"%PDF")
