"""Figures of speeds: latencies, and which table has the paper's figure 1."""

from __future__ import annotations

import re

import pytest
from fake_runs import write_run
from test_report_speed import TRT, ap, fast

from sambench.reports.cells import read_runs
from sambench.reports.content import content_of
from sambench.reports.figures.latency import latency
from sambench.reports.figures.style import model_looks
from sambench.reports.model import Table
from sambench.reports.speed import speed_tables

MS = {"latency_ms_p50": 10.0, "latency_ms_p90": 12.0, "latency_ms_p95": 15.0, "latency_ms_p99": 40.0}
SLOW = {"latency_ms_p50": 20.0, "latency_ms_p90": 24.0, "latency_ms_p95": 30.0, "latency_ms_p99": 40.0}
EAGER = {"engine": "eager", "precision": "fp32"}


def latencies(tmp_path, *cells) -> Table:
    tables = speed_tables(read_runs([write_run(tmp_path / "run", list(cells))]))
    (table,) = [t for t in tables if any(c.metric == "latency_ms_p50" for c in t.columns)]
    return table


def test_latencies_are_a_row_each_from_the_median_to_the_slowest_hundredth(tmp_path):
    cells = [
        fast("sam_vit_h", metrics=MS),
        fast("mobile_sam", metrics=SLOW, **EAGER),
    ]
    table = latencies(tmp_path, *cells)
    figure = latency(table, "s", model_looks(["sam_vit_h", "mobile_sam"]))
    texts = re.findall("<text[^>]*>([^<]*)<", figure.svg)
    assert {"SAM-ViT-H", "MobileSAM", "tensorrt fp16", "eager fp32", "ms (logarithmic)"} <= {*texts}
    assert "batch 16" not in texts  # said once, of all
    assert figure.caption.endswith("On Made-up GPU (batch 16).")
    lines = re.findall(r'd="M(\S+) (\S+)L(\S+) (\S+)"[^>]*series', figure.svg)
    short, long = sorted(float(x1) - float(x0) for x0, y0, x1, y1 in lines if y0 == y1)
    assert long / short == pytest.approx(2, abs=0.02)  # 10 to 40 is twice 20 to 40 on that scale


@pytest.mark.parametrize("metrics", [{}, {"latency_ms_p50": None}, {"latency_ms_p50": 0.0}, {"img_s": 4.0}])
def test_without_latencies_there_is_none(tmp_path, metrics):
    table = latencies(tmp_path, fast(metrics=MS))
    bare = latencies(tmp_path, fast(metrics={"latency_ms_p50": 1.0}), fast("mobile_sam", metrics=metrics))
    figure = latency(bare, "s", model_looks(["efficientvit_sam_l0", "mobile_sam"]))
    assert "MobileSAM" not in figure.svg
    assert latency(table, "s", model_looks(["efficientvit_sam_l0"])).drawing is not None


def test_figure_1_stands_at_the_papers_table_1_and_only_there(tmp_path):
    cells = [ap(**TRT), fast(), fast("mobile_sam"), fast(scope="E")]  # one AP, which is no figure
    content = content_of(read_runs([write_run(tmp_path, cells)]))
    found = {s.table.name: [f.title for f in s.figures] for s in content.sections if s.figures}
    place = "throughput-{}-pipelined-made-up-gpu-latency-share-of-the-ceiling-memory"
    assert found == {
        "table-1": ["Accuracy against throughput (throughput: end to end, pipelined)"],
        place.format("end-to-end"): ["Latency of a batch (end to end, pipelined)"],
        place.format("encoder"): ["Latency of a batch (encoder, pipelined)"],
        "throughput-encoder-pipelined-made-up-gpu": [
            "Accuracy against throughput (throughput: encoder, pipelined)"
        ],
    }
