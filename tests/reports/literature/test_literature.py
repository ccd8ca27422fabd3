"""The published numbers: every file is valid, the numbers are those of the sources, differences are named."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from sambench.adapters.models import REGISTRY
from sambench.evsam.errors import SambenchError
from sambench.reports import published
from sambench.reports.literature import Claim, beside, claims, differs, sources
from sambench.reports.literature.source import read
from sambench.reports.literature.vocabulary import GOLD, SUITES, unit

TABLE = {
    "table": "Table 1",
    "suite": "gt_box",
    "dataset": "coco",
    "metrics": ["miou"],
    "rows": {"Us": [70.0]},
}
HEAD = {
    "title": "A paper",
    "authors": "One, Two",
    "year": 2026,
    "url": "https://example.org/paper",
    "read": "all of it",
    "models": {"Us": "us"},
}


def value(source: str, model: str, dataset: str, metric: str, **made: str) -> float:
    """The one number of a source that fits."""
    found = [
        claim.value
        for claim in claims(model, dataset=dataset)
        if (claim.source, claim.metric) == (source, metric)
        and all(claim.made.get(axis) == word for axis, word in made.items())
    ]
    assert len(set(found)) == 1, found
    return found[0]


def test_there_are_many_sources_and_each_says_where_it_is_from() -> None:
    assert len(sources()) >= 15
    for source in sources().values():
        assert source.claims
        assert source.url.startswith("https://")
        assert "2026" in source.read or "commit" in source.read, source.name


def test_a_name_means_one_model_and_ours_are_among_them() -> None:
    found = {claim.model for claim in claims()}
    assert len(found & set(REGISTRY)) > 25
    for model in found - set(REGISTRY):  # those that we have not are named in the same manner
        assert model == model.lower(), model
        assert model.replace("_", "").isalnum(), model


def test_shares_are_percent_and_a_table_of_fractions_was_scaled() -> None:
    for claim in claims():
        if claim.suite == "concept":  # where a model can be worse than chance; see the products below
            assert -1 <= claim.value <= (1 if claim.unit == "mcc" else 100), claim
            continue
        assert claim.value > 0
        if claim.unit == "%":
            assert 1 < claim.value <= 100, claim


def test_no_claim_states_what_it_says_is_not_stated() -> None:
    for claim in claims():
        assert not set(claim.not_stated) & set(claim.made), claim


# What the sources say in prose of numbers that were read off their tables. (source, model less model, data,
# metric, difference)
PROSE = [
    ("edge_sam", "edge_sam", "mobile_sam", "coco", "miou", 2.3),  # "enhancing the mIoUs on COCO ... by 2.3"
    ("efficient_sam", "efficient_sam_ti", "mobile_sam", "coco", "miou", 1.5),
    ("efficient_sam", "sam_vit_h", "efficient_sam_s", "coco", "miou", 1.5),
    ("efficient_sam", "sam_vit_h", "efficient_sam_s", "lvis", "miou", 3.5),
    ("efficient_sam", "efficient_sam_s", "fast_sam_x", "coco", "ap", 6.5),
    ("efficient_sam", "efficient_sam_s", "fast_sam_x", "lvis", "ap", 7.8),
    ("efficient_sam", "efficient_sam_ti", "mobile_sam", "coco", "ap", 3.6),
    ("efficient_sam", "efficient_sam_ti", "mobile_sam", "lvis", "ap", 5.5),
    ("sam_hq", "sam_hq_vit_l", "sam_vit_l", "coco", "ap_boundary", 1.1),
    ("efficient_tam", "efficient_tam_s", "sam_vit_h", "sa23", "miou_1", 2.6),
    ("efficient_tam", "efficient_tam_s", "sam_hq_vit_h", "sa23", "miou_1", 1.6),
]


@pytest.mark.parametrize(("source", "model", "less", "dataset", "metric", "difference"), PROSE)
def test_a_difference_is_the_one_that_the_source_says_in_prose(
    source: str, model: str, less: str, dataset: str, metric: str, difference: float
) -> None:
    found = value(source, model, dataset, metric) - value(source, less, dataset, metric)
    assert found == pytest.approx(difference, abs=0.01)


def test_other_prose_of_the_sources_fits_their_tables() -> None:
    later = {"select": "pred_iou"}  # of TinySAM's two texts the paper, in its later version
    tiny = value("tiny_sam", "tiny_sam", "coco", "ap", **later)
    assert tiny - value("tiny_sam", "mobile_sam", "coco", "ap") == pytest.approx(1.3)
    tiny = value("tiny_sam", "tiny_sam", "lvis", "ap", **later)
    assert tiny - value("tiny_sam", "mobile_sam", "lvis", "ap") == pytest.approx(1.9)
    image = {"scope": "the image task, not said in more detail", "hardware": "NVIDIA A100"}
    sam2 = value("sam2_1", "sam2_hiera_base_plus", "", "img_s", **image)
    assert sam2 / value("sam2_1", "sam_vit_h", "", "img_s", **image) == pytest.approx(6, abs=0.05)  # "6x"
    assert value("edge_sam", "edge_sam_rpn", "coco", "miou_1") == 54.3  # "rise from 48.0 to 54.3"
    assert value("edge_sam", "edge_sam", "coco", "miou_1") == 48.0


def test_cgf1_is_the_product_of_its_parts_in_every_row_and_averages_are_of_the_subsets() -> None:
    """A slip in typing one of 534 numbers shows: the sources print both factors and the product."""
    rows: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    for claim in claims(suite="concept"):
        if claim.dataset.startswith("saco_") and claim.metric in ("cgf1", "il_mcc", "pmf1"):
            row = rows.setdefault((claim.source, claim.table, claim.model), {})
            row.setdefault(claim.dataset, {})[claim.metric] = claim.value
    whole = {key: row for key, row in rows.items() if len(row) > 2}
    assert Counter(len(row) - 1 for row in whole.values()) == {7: 8 + 5 + 1, 10: 6}
    for row in whole.values():
        mean = row.pop("saco_gold", None) or row.pop("saco_silver")
        for found in row.values():
            rounded = 0.005 * found["pmf1"] + 0.01  # il_mcc has two decimals
            assert found["cgf1"] == pytest.approx(found["pmf1"] * found["il_mcc"], abs=rounded), found
        for metric, value in mean.items():  # pmf1 has one decimal in some
            several = [found[metric] for found in row.values()]
            assert value == pytest.approx(sum(several) / len(several), abs=0.051), row


def test_sources_that_print_the_same_models_cgf1_agree_but_for_rounding_and_another_run() -> None:
    found = [c for c in beside("sam3", "concept", "saco_gold") if c.metric == "cgf1"]
    assert {(c.source, c.value) for c in found} == {
        ("sam3", 54.1),
        ("saco", 54.06),
        ("efficient_sam3", 54.04),
    }
    for subset in GOLD:
        ours = value("saco", "sam3", f"saco_gold_{subset}", "cgf1")
        assert value("efficient_sam3", "sam3", f"saco_gold_{subset}", "cgf1") == pytest.approx(ours, abs=0.3)
    paper = {
        c.model: c.value for c in claims(dataset="saco_gold") if (c.source, c.metric) == ("sam3", "cgf1")
    }
    for model in paper.keys() - {"human"}:
        assert paper[model] == pytest.approx(value("saco", model, "saco_gold", "cgf1"), abs=0.0501)


def test_the_paper_is_taken_from_its_own_file_and_whole() -> None:
    mine = {
        (c.suite, c.dataset, c.model, c.metric): c.value for c in claims() if c.source == "efficientvit_sam"
    }
    for suite, dataset in {key[:2] for key in published._index()} - {("efficiency", "coco")}:
        for model in published.models_of(suite, dataset):
            for metric, number in published.lookup(suite, dataset, model).printed.items():
                if suite != "sginw" or metric == "ap":
                    assert mine[suite, dataset, model, metric] == number
    assert mine["throughput", "", "efficientvit_sam_l2", "img_s"] == 538


def test_the_sets_of_sginw_are_those_of_the_logs_rounded() -> None:
    for model in ("sam_vit_h", "sam_hq_vit_h"):
        logs = published.lookup("sginw", "sginw/gdino", model).printed
        for metric in logs.keys() - {"ap"}:  # the README rounds 32.95 down
            assert value("sam_hq", model, "sginw", metric) == pytest.approx(logs[metric], abs=0.0501)


def test_papers_disagree_about_mobile_sam_and_all_are_listed() -> None:
    found = {
        c.source: c
        for c in beside("mobile_sam", "det_box", "coco/vitdet")
        if c.metric == "ap" and c.value > 34
    }
    assert {name: claim.value for name, claim in found.items()} == {
        "efficient_sam": 38.7,
        "efficientvit_sam": 38.7,
        "edge_sam": 39.4,
        "tiny_sam": 41.0,
        "repvit_sam": 42.7,
        "sam_hq": 44.3,
    }
    said = differs(found["tiny_sam"], found["edge_sam"])
    assert "select: pred_iou / single" in said
    assert any(line.startswith("detector: ") for line in said)


MADE_UP = Claim(
    source="a",
    table="Table 1",
    model="us",
    called="Us",
    suite="throughput",
    dataset="",
    metric="img_s",
    value=1.0,
    unit="images/s",
    prompt="",
    protocol={"scope": "encoder"},
    not_stated=(),
    hardware="A100",
    engine=None,
    precision="fp16",
    batch=16,
    url="https://example.org",
    note="",
)


def test_differs_names_what_is_not_alike_and_nothing_else() -> None:
    other = dataclasses.replace(
        MADE_UP, source="b", value=2.0, protocol={}, hardware="T4", batch=1, note="another note", called="We"
    )
    assert differs(MADE_UP, other) == [
        "scope: encoder / not stated",
        "hardware: A100 / T4",
        "batch: 16 / 1",
    ]
    assert differs(other, MADE_UP)[0] == "hardware: T4 / A100"
    assert differs(MADE_UP, MADE_UP) == []


def test_a_detector_is_part_of_how_and_not_of_the_question() -> None:
    boxes = dataclasses.replace(MADE_UP, suite="det_box", dataset="coco/vitdet", prompt="ViTDet boxes")
    others = dataclasses.replace(boxes, dataset="coco/detic", prompt="Detic boxes")
    assert boxes.question == others.question
    assert differs(boxes, others) == ["prompt: ViTDet boxes / Detic boxes"]


def test_claims_are_filtered_and_what_belongs_together_stands_together() -> None:
    assert {claim.dataset for claim in claims(dataset="coco/vitdet")} == {"coco/vitdet"}
    assert {"coco", "coco/vitdet", "coco/detic"} <= {claim.dataset for claim in claims(dataset="coco")}
    assert {claim.suite for claim in claims(suite="click")} == {"click"}
    questions = [claim.question for claim in claims()]
    runs = [
        question
        for before, question in zip([None, *questions], questions, strict=False)
        if before != question
    ]
    assert max(Counter(runs).values()) == 1


# --- what a file must not say ---------------------------------------------------------------------------


def written(folder: Path, head: dict[str, object] | None = None, **table: object) -> Path:
    file = folder / "a_paper.yaml"
    file.write_text(yaml.safe_dump({**HEAD, "tables": [TABLE | table], **(head or {})}))
    return file


def test_a_small_file_is_read(tmp_path: Path) -> None:
    (claim,) = read(written(tmp_path, scale=100, rows={"Us": [0.7]}, not_stated=["crowd"])).claims
    assert (claim.source, claim.model, claim.called, claim.value, claim.unit) == (
        "a_paper",
        "us",
        "Us",
        70,
        "%",
    )
    assert claim.url == HEAD["url"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"suite": "gtbox"}, "no suite 'gtbox'. Did you mean 'gt_box'?"),
        ({"dataset": "cocoa"}, "no data set 'cocoa'"),
        ({"dataset": "coco/vitdett"}, "no detector 'vitdett'"),
        ({"dataset": ""}, "dataset ''"),
        ({"metrics": ["mIoU"]}, "no metric 'mIoU'"),
        ({"metrics": ["miou", "miou_small"]}, "Us has 1 numbers for 2 metrics"),
        ({"rows": {"Them": [1.0]}}, "'Them' is not among `models`"),
        ({"rows": {"Us": [None]}}, "has no numbers"),
        ({"protocol": {"selects": "single"}}, "no axis 'selects'. Did you mean 'select'?"),
        ({"protocol": {"select": "single"}, "not_stated": ["select"]}, "select is stated and not stated"),
        ({"not_stated": ["weather"]}, "no axis 'weather'"),
        ({"hardwear": "A100"}, "no key 'hardwear'. Did you mean 'hardware'?"),
        ({"table": ""}, "table is missing"),
    ],
    ids=str,
)
def test_a_wrong_table_is_refused_by_name(tmp_path: Path, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SambenchError) as refused:
        read(written(tmp_path, **wrong))
    assert said in str(refused.value)
    assert "a_paper.yaml" in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "the paper"}, "is no address"),
        ({"read": ""}, "read is missing"),
        ({"journal": "none"}, "no key 'journal'"),
        ({"tables": [TABLE, TABLE]}, "miou of Us stands there twice"),
    ],
    ids=str,
)
def test_a_wrong_head_is_refused(tmp_path: Path, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SambenchError, match=said):
        read(written(tmp_path, wrong))


def test_the_same_number_under_two_conditions_is_no_double(tmp_path: Path) -> None:
    tables = [TABLE, TABLE | {"protocol": {"select": "single"}}]
    assert len(read(written(tmp_path, {"tables": tables})).claims) == 2


def test_metrics_that_sambench_measures_have_a_unit() -> None:
    for metric in (
        "miou",
        "miou_small",
        "miou_1",
        "miou_5_large",
        "ap",
        "ap_small",
        "ap_Hand-Metal",
        "ar_1000",
    ):
        assert unit(metric) == "%"
    assert unit("ap_") is None
    assert (unit("cgf1_50"), unit("macro_f1"), unit("il_mcc")) == ("%", "%", "mcc")
    assert set(SUITES) == {"gt_box", "click", "det_box", "everything", "sginw", "concept", "throughput"}


def test_it_answers_without_torch() -> None:
    code = (
        "import sys; from sambench.reports.literature import claims; claims(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
