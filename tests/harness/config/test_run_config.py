"""Configurations: a file and flags say the same, flags win, and every mistake is named."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import call

from sambench.adapters.weights.resolve import given_for
from sambench.evsam.errors import SambenchError
from sambench.harness.config.datasets import DatasetConfig
from sambench.harness.config.keys import KEYS, RUN
from sambench.harness.config.run import RunConfig, load_run
from sambench.suites.protocol import PRESETS

FULL: dict[str, Any] = {
    "models": ["box", "efficientvit_sam_l0"],
    "suites": ["gt_box", "click"],
    "datasets": [
        {
            "name": "coco",
            "images": "val2017",
            "annotations": "instances.json",
            "detections": {"vitdet": "boxes.json"},
        }
    ],
    "out": "runs/here",
    "evaluator": "pycocotools",
    "weights": {"efficientvit_sam_l0": "l0.pt"},
    "protocol": "paper",
    "device": "cuda:1",
    "engines": ["eager", "openvino"],
    "precision": "fp32",
    "limit": 7,
    "seed": 3,
    "batch_size": 2,
    "executor": "processes",
    "workers": 3,
    "threads": 2,
    "max_failures": 4,
    "track": "tensorboard",
}
SAME_BY_FLAGS = shlex.split(
    "--models box,efficientvit_sam_l0 --suites gt_box,click --dataset coco --images val2017 "
    "--annotations instances.json --detections vitdet=boxes.json --evaluator pycocotools --out runs/here "
    "--weights efficientvit_sam_l0=l0.pt --protocol paper "
    "--device cuda:1 --engine eager,openvino --precision fp32 --limit 7 --seed 3 --batch-size 2 "
    "--executor processes --workers 3 --threads 2 --max-failures 4 --track tensorboard"
)
LEAST = {key: FULL[key] for key in ("models", "suites", "datasets", "out")}


class Recorder:
    """Takes the place of planning, and keeps the configuration it was given."""

    def __init__(self) -> None:
        self.configs: list[RunConfig] = []

    def __call__(self, config: RunConfig) -> None:
        self.configs.append(config)
        raise SambenchError("recorded")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr("sambench.harness.plan.make_plan", recorder)
    return recorder


def written(folder: Path, content: object) -> Path:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def refused(folder: Path, content: object) -> str:
    """The message with which a file is refused; it names the file."""
    file = written(folder, content)
    with pytest.raises(SambenchError) as caught:
        load(file)
    return str(caught.value)


def load(file: Path, **flags: Any) -> RunConfig:
    return load_run(file, flags)[0]


def test_file_and_flags_give_the_same_configuration(tmp_path: Path, recorder: Recorder) -> None:
    call("run", written(tmp_path, FULL))
    call("run", *SAME_BY_FLAGS)
    by_file, by_flags = recorder.configs
    assert by_file == by_flags
    assert by_file == RunConfig(
        models=("box", "efficientvit_sam_l0"),
        suites=("gt_box", "click"),
        datasets=(
            DatasetConfig("coco", Path("val2017"), Path("instances.json"), {"vitdet": Path("boxes.json")}),
        ),
        out=Path("runs/here"),
        evaluator="pycocotools",
        weights={"efficientvit_sam_l0": "l0.pt"},
        protocol=PRESETS["paper"],
        device="cuda:1",
        engines=("eager", "openvino"),
        limit=7,
        seed=3,
        batch_size=2,
        executor="processes",
        workers=3,
        threads=2,
        max_failures=4,
        track=("tensorboard",),
    )


def test_every_key_was_set_in_the_comparison() -> None:
    """But for adapters, files that are run: test_add_a_model.py names some both ways."""
    beside = {"images", "annotations", "annotators", "match", "detections"}  # of the data set
    beside |= {"address"}  # of Ray, which these workers are not
    own = {key for key in KEYS if RUN in key.commands and key.name not in beside}
    assert len([key for key in own if {key.name, key.several} & set(FULL)]) == len(FULL) == len(own) - 1


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        (["--models", "ellipse,efficientvit_sam_l0"], "models", ("ellipse", "efficientvit_sam_l0")),
        (["--suites", "click"], "suites", ("click",)),
        (["--out", "elsewhere"], "out", Path("elsewhere")),
        (["--weights", "efficientvit_sam_l0=random"], "weights", {"efficientvit_sam_l0": "random"}),
        (["--protocol", "strict"], "protocol", PRESETS["strict"]),
        (["--device", "cpu"], "device", "cpu"),
        (["--limit", "9"], "limit", 9),
        (["--seed", "0"], "seed", 0),
        (["--batch-size", "5"], "batch_size", 5),
        (["--evaluator", "lvis"], "evaluator", "lvis"),
        (["--workers", "5"], "workers", 5),
        (["--threads", "1"], "threads", 1),
        (["--max-failures", "0"], "max_failures", 0),
        (
            ["--dataset", "mine", "--images", "a", "--annotations", "b"],
            "datasets",
            (DatasetConfig("mine", Path("a"), Path("b"), {"vitdet": Path("boxes.json")}),),
        ),
        (
            ["--detections", "yolov8=other.json"],
            "datasets",
            (DatasetConfig("coco", Path("val2017"), Path("instances.json"), {"yolov8": Path("other.json")}),),
        ),
    ],
)
def test_a_flag_wins_over_the_file_and_leaves_the_rest(
    tmp_path: Path, recorder: Recorder, flags: list[str], key: str, value: object
) -> None:
    file = written(tmp_path, FULL)
    call("run", file)
    call("run", file, *flags)
    plain, changed = (dict(vars(config)) for config in recorder.configs)
    assert plain[key] != value
    assert changed == plain | {key: value}


def test_what_is_left_out_takes_the_documented_defaults(tmp_path: Path) -> None:
    config = load(written(tmp_path, LEAST))
    assert (config.protocol, config.device, config.engines) == (PRESETS["strict"], "cpu", ("eager",))
    assert (config.precisions, config.limit, config.seed, config.weights) == (("fp32",), None, 0, {})
    assert config.batch_size == 1
    assert load(written(tmp_path, LEAST | {"device": "cuda:0"})).batch_size == 8


def test_several_data_sets_and_a_custom_protocol_come_from_a_file(tmp_path: Path) -> None:
    two = [{"name": n, "images": n, "annotations": f"{n}.json"} for n in ("coco", "lvis")]
    config = load(
        written(tmp_path, LEAST | {"datasets": two, "protocol": {"preset": "paper", "crowd": "drop"}})
    )
    assert [d.name for d in config.datasets] == ["coco", "lvis"]
    assert (config.protocol.preset, config.protocol.crowd, config.protocol.bins) == (
        "custom",
        "drop",
        "closed",
    )


@pytest.mark.parametrize(
    ("change", "wrong", "right"),
    [
        ({"modles": ["box"]}, "'modles'", "'models'"),
        ({"batchsize": 3}, "'batchsize'", "'batch_size'"),
        ({"datasets": [{"name": "a", "images": "b", "anotations": "c"}]}, "'anotations'", "'annotations'"),
        ({"protocol": {"preset": "paper", "crowds": "drop"}}, "'crowds'", "'crowd'"),
        ({"protocol": "papr"}, "'papr'", "'paper'"),
        ({"models": ["efficientvit-sam-xl1"]}, "'efficientvit-sam-xl1'", "'efficientvit_sam_xl1'"),
        ({"models": ["box", "elipse"]}, "'elipse'", "'ellipse'"),
        ({"suites": ["gtbox"]}, "'gtbox'", "'gt_box'"),
        ({"engine": "eagr"}, "'eagr'", "'eager'"),
        ({"precision": "fp23"}, "'fp23'", "'fp32'"),
        ({"weights": {"elipse": "a.pt"}, "models": ["ellipse"]}, "'elipse'", "'ellipse'"),
    ],
)
def test_a_misspelt_word_is_named_with_the_right_one(
    tmp_path: Path, change: dict[str, Any], wrong: str, right: str
) -> None:
    message = refused(tmp_path, LEAST | change)
    assert wrong in message
    assert f"Did you mean {right}?" in message


@pytest.mark.parametrize(
    ("missing", "remedy"),
    [("models", "--models"), ("suites", "--suites"), ("datasets", "--annotations")],
)
def test_a_missing_key_is_named_with_its_flag(tmp_path: Path, missing: str, remedy: str) -> None:
    message = refused(tmp_path, {key: value for key, value in LEAST.items() if key != missing})
    assert remedy in message
    assert str(tmp_path / "run.yaml") in message


def test_a_folder_that_is_not_named_is_called_after_the_file_or_else_the_data_sets(tmp_path: Path) -> None:
    least = {key: value for key, value in LEAST.items() if key != "out"}
    loaded, content = load_run(written(tmp_path, least), {})
    assert loaded.out == Path("runs/run")
    assert not content.has("out")
    assert load_run(None, least)[0].out == Path("runs") / FULL["datasets"][0]["name"]
    two = [FULL["datasets"][0] | {"name": name} for name in ("mine", "yours")]
    assert load_run(None, least | {"datasets": two})[0].out == Path("runs/mine-yours")


@pytest.mark.parametrize("missing", ["name", "images", "annotations"])
def test_an_incomplete_data_set_says_what_it_lacks(tmp_path: Path, missing: str) -> None:
    dataset = {key: value for key, value in FULL["datasets"][0].items() if key != missing}
    message = refused(tmp_path, LEAST | {"datasets": [dataset]})
    assert f"has no {missing}" in message
    assert ("--dataset" if missing == "name" else f"--{missing}") in message


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"limit": 0}, "limit must be a whole number from 1, not 0"),
        ({"limit": -3}, "limit must be a whole number from 1, not -3"),
        ({"limit": 2.5}, "limit must be a whole number from 1, not 2.5"),
        ({"limit": True}, "limit must be a whole number from 1, not True"),
        ({"seed": -1}, "seed must be a whole number from 0, not -1"),
        ({"seed": "x"}, "seed must be a whole number from 0, not 'x'"),
        ({"batch_size": "a"}, "batch_size must be a whole number from 1, not 'a'"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1, not 0"),
        ({"weights": {"grabcut": "x.pt"}}, "weights for 'grabcut', which is not among the models"),
        ({"weights": 7}, "weights map a model to a file or to random, not 7"),
        ({"weights": "x.pt", "models": ["box", "ellipse"]}, "weights x.pt of which model?"),
        ({"models": {"box": 1}}, "models must be names"),
        ({"models": ["box", "ellipse", "box"]}, "models names one twice: box, ellipse, box"),
        ({"suites": ["click", "click"]}, "suites names one twice"),
        ({"datasets": [7]}, "a data set has name, images and annotations; 7 has not"),
        ({"datasets": [{**FULL["datasets"][0], "detections": 3}]}, "detections map a detector's name"),
        ({"datasets": [{**FULL["datasets"][0], "detections": {"a/b": "c"}}]}, "detector name 'a/b'"),
        ({"evaluator": "cocoeval"}, "no evaluator 'cocoeval'; there is hotcoco, pycocotools, lvis"),
        ({"datasets": [{"name": "a/b", "images": "c", "annotations": "d"}]}, "data set name 'a/b'"),
        ({"out": 5}, "out must be a path, not 5"),
        ({"device": "cuda:one"}, "device 'cuda:one'; say cpu, cuda or cuda:1"),
        ({"engine": None}, "engine has no value"),
        ({"protocol": {"crowd": "maybe"}}, "crowd is 'maybe'; it can be 'keep', 'drop'"),
        ({"datasets": 5}, "a data set has name, images and annotations; 5 has not"),
        ({"datasets": True}, "a data set has name, images and annotations; True has not"),
        ({"datasets": []}, "no data set"),
        ({"out": ""}, "no output folder"),
        ({"seed": float("inf")}, "seed must be a whole number from 0, not inf"),
        ({"limit": "²"}, "limit must be a whole number from 1, not '²'"),
        ({"weights": {"box": None}}, "weights of box are a path or random, not None"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_can_be(
    tmp_path: Path, change: dict[str, Any], part: str
) -> None:
    assert part in refused(tmp_path, LEAST | change)


@pytest.mark.parametrize(
    "protocol",
    [3, None, ["paper"], {"preset": ["paper"]}, {1: 2}],
    ids=["number", "null", "list", "inner", "key"],
)
def test_a_protocol_of_a_wrong_type_is_refused_and_not_a_crash(tmp_path: Path, protocol: object) -> None:
    assert "protocol" in refused(tmp_path, LEAST | {"protocol": protocol})


def test_two_data_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    two = [{"name": "coco", "images": i, "annotations": "a.json"} for i in ("here", "there")]
    assert "coco" in refused(tmp_path, LEAST | {"datasets": two})


@pytest.mark.parametrize("text", ["models: [box\nout: x\n", "models: box\n  out: x\n", "a: 'b\n", "\t- a\n"])
def test_broken_yaml_names_the_file_and_the_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(SambenchError, match=r"cannot be read as YAML(.|\n)* line \d") as caught:
        load(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("text", ["", "- box\n", "box\n", "3\n"])
def test_a_file_that_is_not_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(text)
    with pytest.raises(SambenchError, match="is a mapping of keys to values"):
        load(file)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_bytes(b"models: \xff\xfe\n")
    with pytest.raises(SambenchError, match="cannot be read as YAML"):
        load(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = call("run", tmp_path / "no.yaml")
    assert done.code == 2
    assert f"{tmp_path / 'no.yaml'}: no such configuration file" in done.err


def test_variables_and_home_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_DATA", "/data/here")
    monkeypatch.setenv("HOME", "/home/someone")
    dataset = {"name": "a", "images": "${SOME_DATA}/val", "annotations": "$SOME_DATA/a.json"}
    config = load(
        written(
            tmp_path,
            LEAST
            | {
                "datasets": [dataset],
                "out": "~/runs",
                "weights": {"efficientvit_sam_l0": "${SOME_DATA}/l0.pt"},
            },
        )
    )
    assert config.datasets == (DatasetConfig("a", Path("/data/here/val"), Path("/data/here/a.json")),)
    assert config.out == Path("/home/someone/runs")
    assert config.weights == {"efficientvit_sam_l0": "/data/here/l0.pt"}


@pytest.mark.parametrize("given", ["efficientvit_sam_l0=", "=x.pt"])
def test_weights_without_a_name_or_a_path_are_refused(recorder: Recorder, given: str) -> None:
    done = call("run", *SAME_BY_FLAGS, "--weights", given)
    assert done.code == 2
    assert not recorder.configs
    assert "NAME=PATH or NAME=random" in done.err


@pytest.mark.parametrize(
    ("flag", "value"), [("--limit", "many"), ("--batch-size", "a"), ("--seed", "1.5"), ("--limt", "3")]
)
def test_a_flag_that_cannot_be_read_exits_2_and_is_named(recorder: Recorder, flag: str, value: str) -> None:
    done = call("run", *SAME_BY_FLAGS, flag, value)
    assert done.code == 2
    assert not recorder.configs
    assert flag in done.err


def test_models_by_flags_leave_the_files_weights_of_the_others_out(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        LEAST | {"models": ["box", "efficientvit_sam_l0"], "weights": {"efficientvit_sam_l0": "random"}},
    )
    assert load(file, models="box").weights == {}
    assert load(file, models="efficientvit_sam_l0, box").weights == {"efficientvit_sam_l0": "random"}


def test_a_flag_changes_part_of_the_files_one_data_set(tmp_path: Path) -> None:
    file = written(tmp_path, LEAST)
    (before,) = load(file).datasets
    (after,) = load(file, images=Path("elsewhere")).datasets
    assert (after.name, after.images, after.annotations) == (
        before.name,
        Path("elsewhere"),
        before.annotations,
    )


def test_a_data_set_that_is_no_mapping_is_refused_with_flags_too(tmp_path: Path) -> None:
    file = written(tmp_path, LEAST | {"datasets": ["coco"]})
    with pytest.raises(SambenchError, match="has no annotations"):
        load(file, images=Path("elsewhere"))
    file = written(tmp_path, LEAST | {"datasets": [7]})
    with pytest.raises(SambenchError, match="7 has not"):
        load(file, images=Path("elsewhere"))


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_COCO", raising=False)
    message = refused(tmp_path, LEAST | {"out": "${NO_SUCH_COCO}/out"})
    assert "NO_SUCH_COCO is not set" in message


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ({"model": "box"}, {"models": ["box"]}),
        ({"suite": "click"}, {"suites": "click"}),
        ({"engine": "eager"}, {"engines": ["eager"]}),
        ({"precision": "fp32"}, {"precisions": ["fp32"]}),
        ({"batch_size": 3}, {"batch_sizes": [3]}),
        ({"dataset": FULL["datasets"][0]}, {"datasets": [FULL["datasets"][0]]}),
    ],
)
def test_a_key_is_singular_with_one_value_and_plural_with_several(
    tmp_path: Path, one: dict[str, Any], several: dict[str, Any]
) -> None:
    (singular,), (plural,) = one, several
    rest = {key: value for key, value in LEAST.items() if key != plural}
    assert load(written(tmp_path, rest | one)) == load(written(tmp_path, rest | several))
    assert f"{singular} and {plural} are one key" in refused(tmp_path, rest | one | several)


def test_the_keys_of_a_data_set_may_stand_beside_its_name(tmp_path: Path) -> None:
    apart = {"dataset": "coco", "images": "val2017", "annotations": "instances.json"}
    apart["detections"] = ["vitdet=boxes.json"]
    rest = {key: value for key, value in LEAST.items() if key != "datasets"}
    assert load(written(tmp_path, rest | apart)) == load(written(tmp_path, LEAST))
    two = [{"name": n, "images": n, "annotations": f"{n}.json"} for n in ("coco", "lvis")]
    assert "images of which data set?" in refused(tmp_path, rest | {"datasets": two, "images": "x"})


def test_weights_without_a_name_are_those_of_the_only_model(tmp_path: Path) -> None:
    file = written(tmp_path, LEAST | {"models": ["efficientvit_sam_l0"], "weights": "random"})
    assert load(file).weights == {"efficientvit_sam_l0": "random"}
    assert load(file, weights=["l0.pt"]).weights == {"efficientvit_sam_l0": "l0.pt"}
    assert load(file, weights=["efficientvit_sam_l0=a=b.pt"]).weights == {"efficientvit_sam_l0": "a=b.pt"}


def test_one_batch_size_is_one(tmp_path: Path) -> None:
    assert "batch_size: there can be one here, not 1, 2" in refused(tmp_path, LEAST | {"batch_sizes": [1, 2]})


def test_a_wrong_flag_is_the_command_lines_and_not_the_files(tmp_path: Path) -> None:
    file = written(tmp_path, LEAST | {"limit": 3})
    with pytest.raises(SambenchError, match=r"^command line: limit must be a whole number from 1, not 0"):
        load(file, limit=0)
    assert refused(tmp_path, LEAST | {"limit": 0}).startswith(str(file))


def test_numbers_may_be_text(tmp_path: Path) -> None:
    config = load(written(tmp_path, LEAST | {"limit": "3", "seed": "7"}))
    assert (config.limit, config.seed) == (3, 7)


def test_part_of_one_of_two_data_sets_cannot_be_changed_by_a_flag(tmp_path: Path) -> None:
    two = [{"name": n, "images": n, "annotations": f"{n}.json"} for n in ("coco", "lvis")]
    with pytest.raises(SambenchError, match="images of which data set"):
        load(written(tmp_path, LEAST | {"datasets": two}), images="x")


def test_weights_of_parts_are_given_by_their_names(tmp_path: Path) -> None:
    both = "grounding_dino_t+efficientvit_sam_l0"
    least = LEAST | {"models": [both, "box"]}
    parts = {"grounding_dino_t": "dino", "efficientvit_sam_l0": "l0.pt"}
    config = load(written(tmp_path, least | {"weights": parts}))
    assert given_for(both, config.weights) == parts
    assert given_for("box", config.weights) is None
    kept = load(
        written(tmp_path, least | {"weights": parts}), models=both, weights=["grounding_dino_t=random"]
    )
    assert given_for(both, kept.weights) == parts | {"grounding_dino_t": "random"}
    whole = load(written(tmp_path, least | {"weights": {both: "random", "efficientvit_sam_l0": "l0.pt"}}))
    assert given_for(both, whole.weights) == {"grounding_dino_t": "random", "efficientvit_sam_l0": "l0.pt"}
    assert given_for(both, {both: "random"}) == "random"
    message = refused(tmp_path, least | {"weights": {"grounding_dino_b": "x"}})
    assert (
        "weights for 'grounding_dino_b', which is not among the models. Did you mean 'grounding_dino_t'"
        in message
    )
