"""``sambench data``: data sets known by name or by a file, and what verifying one prints."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml
from command import call, flags
from tiny_coco import TinyCoco

from sambench.evsam.errors import SambenchError
from sambench.harness.config.datasets import DatasetConfig
from sambench.harness.config.run import load_run
from sambench.suites.data import named as datasets
from sambench.suites.data.named import FOLDER, find, known, read

REST = {"models": "box", "suites": "gt_box", "out": "runs/here"}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def own(tiny: TinyCoco, tmp_path: Path) -> Path:
    """A file that names the tiny data set."""
    return written(tmp_path / "mine.yaml", tiny)


def written(file: Path, tiny: TinyCoco, **more: object) -> Path:
    content = {"name": "mine", "images": str(tiny.images), "annotations": str(tiny.annotations)}
    file.write_text(yaml.safe_dump(content | more))
    return file


def only_dataset(flag: object, file: Path | None = None) -> DatasetConfig:
    """The data set of a run with these flags, on top of a file."""
    (dataset,) = load_run(file, {**({} if file else REST), "datasets": flag})[0].datasets
    return dataset


def config(folder: Path, entries: list[object]) -> Path:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(REST | {"datasets": entries}))
    return file


# files


def test_every_file_of_the_repository_is_read_and_is_called_as_its_data_set() -> None:
    assert {"coco", "lvis", "shapes"} <= set(known())
    for name, file in known().items():
        data = find(name)
        assert (data.name, data.source) == (name, file)
        assert data.title
        assert data.note


def test_the_files_lie_where_the_documentation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COCO", "/c")
    monkeypatch.setenv("LVIS", "/l")
    assert find("coco").paths() == (Path("/c/val2017"), Path("/c/annotations/instances_val2017.json"))
    assert find("lvis").paths() == (Path("/l"), Path("/l/annotations/lvis_v1_val.json"))
    assert find("shapes").paths()[0] == Path("data/shapes/images")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"anotations": "x"}, ["no key 'anotations'", "Did you mean 'annotations'?"]),
        ({"source": "x"}, ["no key 'source'"]),
        ({"format": "lviss"}, ["format 'lviss'", "Did you mean 'lvis'?"]),
        ({"images": 5}, ["images must be text, not 5"]),
        ({"title": ["a"]}, ["title must be text"]),
        ({"images": ""}, ["the data set has no images"]),
        ({"name": ""}, ["the data set has no name"]),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(
    tiny: TinyCoco, tmp_path: Path, change: dict[str, object], parts: list[str]
) -> None:
    file = written(tmp_path / "mine.yaml", tiny, **change)
    with pytest.raises(SambenchError) as caught:
        read(file)
    assert all(part in str(caught.value) for part in [str(file), *parts])


@pytest.mark.parametrize(
    ("text", "part"),
    [(None, "no such file"), ("a: [", "cannot be read as YAML"), ("", "a mapping"), ("- a", "a mapping")],
)
def test_a_file_that_is_no_data_set_is_refused(tmp_path: Path, text: str | None, part: str) -> None:
    file = tmp_path / "mine.yml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SambenchError, match=part) as caught:
        find(str(file))
    assert str(file) in str(caught.value)


# runs


def test_a_run_takes_a_data_set_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COCO", "/c")
    images, annotations = Path("/c/val2017"), Path("/c/annotations/instances_val2017.json")
    expected = DatasetConfig("coco", images, annotations, format="coco")
    assert only_dataset([{"name": "coco"}]) == expected
    assert only_dataset(None, config(tmp_path, ["coco"])) == expected
    assert only_dataset(None, config(tmp_path, [{"name": "coco"}])) == expected


def test_a_run_takes_a_data_set_by_its_file(tiny: TinyCoco, own: Path, tmp_path: Path) -> None:
    expected = DatasetConfig("mine", tiny.images, tiny.annotations)
    assert only_dataset([{"name": str(own)}]) == expected
    assert only_dataset(None, config(tmp_path, [str(own)])) == expected


def test_with_paths_a_name_is_just_a_name() -> None:
    given = {"name": "coco", "images": Path("a"), "annotations": Path("b.json")}
    assert only_dataset([given]) == DatasetConfig("coco", Path("a"), Path("b.json"))


@pytest.mark.parametrize("half", ["images", "annotations"])
def test_half_a_data_set_is_not_completed_from_a_file(half: str) -> None:
    with pytest.raises(SambenchError, match="the data set has no"):
        only_dataset([{"name": "shapes", half: Path("a")}])


def test_a_known_name_replaces_the_data_set_of_a_configuration(tmp_path: Path) -> None:
    mine = {"name": "mine", "images": "a", "annotations": "b.json"}
    file = config(tmp_path, [mine])
    assert only_dataset([{"name": "shapes"}], file).images == Path("data/shapes/images")
    assert only_dataset([{"name": "other"}], file) == DatasetConfig("other", Path("a"), Path("b.json"))
    same = config(tmp_path, [mine | {"name": "shapes"}])
    assert only_dataset([{"name": "shapes"}], same).images == Path("a")


def test_an_unknown_name_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(SambenchError, match=r"no data set 'shape'.*Did you mean 'shapes'.*--images"):
        only_dataset([{"name": "shape"}])


def test_a_variable_that_is_not_set_is_named_with_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COCO", raising=False)
    done = call("run", "--models", "box", "--suites", "gt_box", "--dataset", "coco", "--out", "x")
    assert done.code == 2
    assert "COCO is not set" in done.err
    assert str(FOLDER / "coco.yaml") in done.err


def test_a_run_by_a_file_gives_the_results_of_a_run_by_paths(
    tiny: TinyCoco, own: Path, tmp_path: Path
) -> None:
    for out, dataset in ((tmp_path / "a", own), (tmp_path / "b", None)):
        command = flags(tiny, out, "box", "gt_box")
        if dataset:
            command = [
                "run",
                *shlex.split("--models box --suites gt_box --dataset"),
                str(dataset),
                "--out",
                str(out),
            ]
        assert call(*command).code == 0
    cells = [json.loads((tmp_path / out / "results.json").read_text())["cells"][0] for out in ("a", "b")]
    assert [cell["dataset"] for cell in cells] == ["mine", "tiny"]
    assert cells[0]["metrics"] == cells[1]["metrics"]


# list


def test_the_list_says_what_is_there(own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COCO", raising=False)
    monkeypatch.setenv("LVIS", str(tmp_path / "none"))
    done = call("data", "list", own, "--json")
    assert done.code == 0
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert set(rows) == {*known(), str(own)}
    assert rows[str(own)]["state"] == "there"
    assert "COCO is not set" in rows["coco"]["state"]
    assert rows["lvis"]["state"].startswith(f"missing: {tmp_path / 'none'}, ")
    monkeypatch.setattr("command.WIDTH", 500)  # long paths in one line
    shown = call("data", "list", own).out
    assert all(name in shown and row["state"] in shown for name, row in rows.items())


def test_an_installation_without_the_checkout_has_an_empty_list(
    own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(datasets, "FOLDER", tmp_path / "none")
    assert json.loads(call("data", "list", "--json").out) == []
    assert [row["state"] for row in json.loads(call("data", "list", own, "--json").out)] == ["there"]


# verify


def test_a_clean_data_set_exits_0_however_it_is_named(tiny: TinyCoco, own: Path) -> None:
    for command in ([tiny.annotations, "--images", tiny.images], [own], [tiny.annotations]):
        done = call("data", "verify", *command)
        assert (done.code, done.err) == (0, "")
        assert "4 images, 4 annotations, 1 categories: nothing is wrong" in done.out
    assert "not looked at" in done.out


def test_an_error_exits_2_and_shows_count_examples_and_remedy(tiny: TinyCoco, own: Path) -> None:
    for annotation in tiny.content["annotations"]:
        annotation["bbox"] = [1, 2, 0, 4]
    tiny.file(2).unlink()
    tiny.save()
    done = call("data", "verify", own)
    assert done.code == 2
    assert "error: an image file is missing (1)" in done.out
    assert f"image 2: {tiny.file(2)}" in done.out
    assert "error: a box of no or negative size (4)" in done.out
    assert "annotation 101 of image 1: bbox is [1, 2, 0, 4]" in done.out
    assert "Boxes are taken from the masks with" in done.out
    assert "2 kinds of errors, no warnings" in done.out
    assert "Traceback" not in done.err


def test_warnings_alone_exit_0(tiny: TinyCoco, own: Path) -> None:
    tiny.content["annotations"][0]["area"] = 3000.0
    tiny.save()
    done = call("data", "verify", own)
    assert done.code == 0
    assert "no errors, 1 kind of warning" in done.out


def test_json_has_it_all(tiny: TinyCoco, own: Path) -> None:
    tiny.content["annotations"][0].update(id=0, bbox=[1])
    tiny.save()
    done = call("data", "verify", own, "--json")
    assert done.code == 2
    content = json.loads(done.out)
    assert (content["errors"], content["warnings"], content["images"], content["looked_at"]) == (1, 1, 4, 4)
    assert content["images_folder"] == str(tiny.images)
    first, second = content["problems"]
    assert (first["kind"], first["severity"], first["count"]) == ("box_unusable", "error", 1)
    assert first["examples"] == ["annotation 0 of image 1: bbox is [1], not 4 numbers"]
    assert first["remedy"]
    assert (second["kind"], second["severity"]) == ("annotation_id_zero", "warning")


def test_fast_reads_headers_and_limit_looks_at_some(tiny: TinyCoco, own: Path) -> None:
    for image_id in range(1, 5):
        tiny.file(image_id).write_bytes(tiny.file(image_id).read_bytes()[:-200])
    assert call("data", "verify", own).code == 2
    assert call("data", "verify", own, "--fast").code == 0
    done = call("data", "verify", own, "--limit", 2, "--seed", 1)
    assert "an image file cannot be read (2)" in done.out
    assert "Masks and files of 2 images were looked at" in done.out


def test_the_format_of_a_file_decides_whether_fields_of_lvis_are_missed(
    tiny: TinyCoco, tmp_path: Path
) -> None:
    for name, kinds in (("coco", []), ("lvis", ["lvis_fields"])):
        file = written(tmp_path / f"{name}.yaml", tiny, format=name)
        problems = json.loads(call("data", "verify", file, "--json").out)["problems"]
        assert [p["kind"] for p in problems] == kinds


@pytest.mark.parametrize(
    ("what", "part"),
    [
        ("none.json", "no such annotation file"),
        ("none.yaml", "no such file for a data set"),
        ("shape", "Did you mean 'shapes'?"),
        ("shapes", "no such annotation file"),
    ],
)
def test_what_is_not_there_exits_2_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("data", "verify", what)
    assert done.code == 2
    assert part in done.out + done.err


def test_damaged_json_is_reported_not_raised(tiny: TinyCoco, own: Path) -> None:
    tiny.annotations.write_text('{"images": [')
    done = call("data", "verify", own)
    assert done.code == 2
    assert "cut off" in done.out


def test_names_are_printed_as_they_are(tiny: TinyCoco, own: Path) -> None:
    tiny.content["images"][0]["file_name"] = "[red] x.jpg"
    tiny.save()
    assert "[red] x.jpg" in call("data", "verify", own).out
