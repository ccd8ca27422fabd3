"""docs/add-a-model.md works as written; models from outside fail with words, not with the run."""

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
import yaml
from command import call, cell_of, cells_of, flags, shards_of

from sambench.adapters import plugins, registry
from tests.golden import golden

DOC = Path(__file__).parents[2] / "docs" / "add-a-model.md"


@pytest.fixture(autouse=True)
def nothing_loaded_stays():
    yield
    plugins.announced.cache_clear()
    for name in [n for n in sys.modules if n.startswith("sambench_adapter_")]:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def example(class_name):
    """The code block of the page that has this class."""
    (block,) = [
        b for b in re.findall(r"```python\n(.*?)```", DOC.read_text(), re.S) if f"class {class_name}(" in b
    ]
    return block


@pytest.mark.slow
def test_the_pages_model_runs_and_sees_the_objects(shapes, write, tmp_path):
    out = tmp_path / "run"
    colour = write("colour.py", example("Colour"))
    command = ["run", "--models", "box", "--suites", "gt_box,click", *shapes, "--out", out, "--limit", "8"]
    done = call(*command, "--adapter", f"{colour}:Colour")
    assert done.code == 0, done.err
    assert {c["model"] for c in cells_of(out)} == {"box", "Colour"}
    for suite, metric in (("gt_box", "miou"), ("click", "miou_1")):
        ours = cell_of(out, model="Colour", suite=suite)
        assert ours["provenance"]["weights"]["source"] == "none"
        assert ours["metrics"][metric] > (40 if suite == "gt_box" else 10)  # noise has some 2
    assert "Colour" in (out / "report.html").read_text()


@pytest.mark.slow
def test_the_pages_sam_takes_random_weights_and_a_checkpoint(tiny, write, tmp_path):
    patch = write("patch.py", example("PatchSam"))
    command = ["--adapter", f"{patch}:PatchSam", "--limit", "2"]
    assert (
        call(*flags(tiny, tmp_path / "a", "box", "gt_box"), *command, "--weights", "PatchSam=random").code
        == 0
    )
    assert cell_of(tmp_path / "a", model="PatchSam")["provenance"]["weights"]["source"] == "random"

    spec = plugins.parse_adapter(f"{patch}:PatchSam")
    model = plugins.load(spec.target)(spec.name, weights=None, device=torch.device("cpu")).model
    torch.save(golden.fill_state_dict(model.state_dict()), tmp_path / "w.pt")
    given = ["--weights", f"PatchSam={tmp_path / 'w.pt'}"]
    done = call(*flags(tiny, tmp_path / "b", "box", "gt_box"), *command, *given)
    assert done.code == 0, done.err
    weights = cell_of(tmp_path / "b", model="PatchSam")["provenance"]["weights"]
    assert weights["source"] == "file"
    assert len(weights["sha256"]) == 64


def test_a_changed_file_is_computed_anew(tiny, write, tmp_path):
    colour = write("colour.py", example("Colour"))
    command = [*flags(tiny, tmp_path / "run", "box", "gt_box"), "--adapter", f"{colour}:Colour"]
    assert call(*command).code == 0
    before = shards_of(tmp_path / "run")
    sys.modules.pop(plugins.load(f"{colour}:Colour").__module__)
    registry._added.clear()
    colour.write_text(colour.read_text().replace("SIDE = 128", "SIDE = 64"))
    from sambench.harness.sources import code_digest

    code_digest.cache_clear()
    assert call(*command).code == 0
    after = shards_of(tmp_path / "run")
    new = after.keys() - before.keys()
    assert new
    assert all("Colour" in path for path in new)


def test_what_an_adapter_imports_from_beside_it_decides_its_cells_too(write):
    from sambench.harness.sources import code_digest

    adapter = write("mine.py", "from helper import SIDE\nfrom .package import part\n")
    helper = write("helper.py", "SIDE = 1\n")
    part = write("package/part.py", "import helper\n")
    seen = set()
    for file, text in ((helper, "SIDE = 1\n"), (helper, "SIDE = 2\n"), (part, "WIDTH = 3\n")):
        file.write_text(text)
        code_digest.cache_clear()
        seen.add(code_digest(str(adapter)))
    assert len(seen) == 3


def test_a_configuration_file_names_adapters_too(tiny, write, tmp_path):
    colour = write("colour.py", example("Colour"))
    config = write(
        "run.yaml",
        f"adapters: ['{colour}:Colour']\nsuites: gt_box\nout: {tmp_path / 'run'}\ndatasets:\n"
        f"- {{name: tiny, images: '{tiny.images}', annotations: '{tiny.annotations}'}}\n",
    )
    assert call("run", config).code == 0
    assert cell_of(tmp_path / "run", model="Colour")["status"] == "done"


@pytest.mark.parametrize(
    ("content", "spec", "message"),
    [
        (None, "absent.py:Colour", "absent.py: no such file"),
        ("", "m.py", r"say path/to/file.py:Class or package.module:Class"),
        ("class Other: pass", "a b=m.py:Other", "say path/to/file.py:Class|no such file"),
        ("class Colour: pass", "m.py:Colour", "cannot be called with the name"),
        ("class Other: pass", "m.py:Othr", "mean 'Other'"),
        ("def f(:", "m.py:Colour", "SyntaxError"),
        ("import no_such_package", "m.py:Colour", "no_such_package"),
        ("1 / 0", "m.py:Colour", "ZeroDivisionError: division by zero .line 1 of"),
        ("class box: pass", "m.py:box", "there is a model 'box' already"),
    ],
)
def test_what_cannot_be_loaded_is_said(content, spec, message, tiny, write, tmp_path):
    if content is not None:
        write("m.py", content)
    done = call(*flags(tiny, tmp_path / "run", "ellipse", "gt_box"), "--adapter", tmp_path / spec)
    assert done.code == 2
    assert re.search(message, done.err), done.err
    assert not (tmp_path / "run").exists()


def test_a_model_that_fails_to_start_is_a_row_and_the_others_go_on(tiny, write, tmp_path):
    broken = write(
        "broken.py", "class Broken:\n    def __init__(self, name, *, weights, device):\n        1 / 0\n"
    )
    done = call(*flags(tiny, tmp_path / "run", "ellipse", "gt_box"), "--adapter", f"{broken}:Broken")
    assert done.code == 1
    assert "ZeroDivisionError" in cell_of(tmp_path / "run", model="Broken")["reason"]
    assert cell_of(tmp_path / "run", model="ellipse")["status"] == "done"


def test_an_installed_package_announces_its_model(tiny, write, tmp_path, monkeypatch):
    """A distribution as pip leaves it: the package and its metadata."""
    write("site/colour_package.py", example("Colour"))
    write(
        "site/colour_package-1.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: colour-package\nVersion: 1\n",
    )
    points = "[sambench.adapters]\nmy_colour = colour_package:Colour\nbox = colour_package:Colour\n"
    write("site/colour_package-1.dist-info/entry_points.txt", points)
    monkeypatch.syspath_prepend(tmp_path / "site")
    plugins.announced.cache_clear()
    assert metadata.version("colour-package") == "1"

    listed = call("models", "--json").out
    assert '"my_colour"' in listed
    assert "installed package colour-package" in listed
    assert "colour_package" not in sys.modules  # nothing is imported before it is used
    assert registry.entry("box").target.endswith(".baselines:Box")  # and no package replaces ours
    done = call(*flags(tiny, tmp_path / "run", "my_colour", "gt_box"))
    assert done.code == 0, done.err
    assert cell_of(tmp_path / "run", model="my_colour")["status"] == "done"


COLOURS = re.search(r"```yaml\n(# colours\.yaml.*?)```", DOC.read_text(), re.S)


def test_the_pages_two_settings_of_a_class_are_two_models_of_one_run(shapes, write, tmp_path, monkeypatch):
    write("work/colour.py", example("Colour"))
    assert COLOURS is not None
    config = write("work/colours.yaml", COLOURS[1])
    monkeypatch.chdir(tmp_path / "work")
    done = call("run", config, *shapes, "--limit", "6")
    assert done.code == 0, done.err
    out = tmp_path / "work" / "runs" / "colours"
    near, far = (cell_of(out, model=name, suite="click") for name in ("near", "far"))
    assert near["metrics"]["miou_1"] != far["metrics"]["miou_1"]
    assert near["records"] != far["records"]
    for cell, options in ((near, {}), (far, {"reach": 12})):
        assert cell["provenance"]["adapter"] == {
            "name": cell["model"],
            "class": f"{tmp_path / 'work' / 'colour.py'}:Colour",
            "options": options,
        }
    page = (out / "report.md").read_text()
    assert "reach: 12" in page
    assert page.count("colour.py:Colour") >= 2


def test_another_setting_is_computed_anew_and_the_same_one_is_not(tiny, write, tmp_path):
    colour = write("colour.py", example("Colour"))
    folders = []
    for reach in (3, 5, 3):
        registry._added.clear()
        content = {"name": "mine", "class": f"{colour}:Colour", "options": {"reach": reach}}
        config = write("run.yaml", yaml.safe_dump({"adapter": content}))
        assert call(*flags(tiny, tmp_path / "run", "box", "click"), "--models", "box", config).code == 0
        folders.append(cell_of(tmp_path / "run", model="mine")["records"])
    assert folders[0] == folders[2] != folders[1]


def test_two_versions_of_a_file_run_beside_each_other(tiny, write, tmp_path):
    files = [write("old/colour.py", example("Colour")), write("new/colour.py", example("Colour"))]
    files[1].write_text(files[1].read_text().replace("SIDE = 128", "SIDE = 64"))
    given = [f"--adapter={name}={file}:Colour" for name, file in zip(("old", "new"), files, strict=True)]
    done = call(*flags(tiny, tmp_path / "run", "box", "gt_box"), *given)
    assert done.code == 0, done.err
    made = {c["model"]: c["provenance"].get("adapter", {}).get("class") for c in cells_of(tmp_path / "run")}
    assert made == {"box": None, "old": f"{files[0]}:Colour", "new": f"{files[1]}:Colour"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"class": "colour.py:Colour", "option": {}}, "no key 'option'. Did you mean 'options'"),
        ({"name": "a"}, "say .NAME=.FILE.py:Class, or class, name and options"),
        ({"class": "colour.py:Colour", "options": {"reech": 1}}, "unexpected keyword argument 'reech'"),
        ({"class": "colour.py:Colour", "options": [1]}, "options map names to plain values"),
        ({"class": "colour.py:Colour", "name": "a/b"}, "adapter name 'a/b'"),
        ({"class": "colour.py:Colour", "options": {"reach": {1: 2}}}, "options map names to plain values"),
        ({"class": "colour.py:SIDE"}, "has no class 'SIDE'"),
        ({"class": "math:log"}, "cannot be called with the name"),
        ([{"class": "colour.py:Colour"}, {"class": "colour.py:Colour"}], "names one twice: Colour, Colour"),
    ],
)
def test_a_wrong_setting_is_said(given, message, tiny, write, tmp_path, monkeypatch):
    write("colour.py", example("Colour"))
    monkeypatch.chdir(tmp_path)
    config = write("run.yaml", yaml.safe_dump({"adapters": given}))
    done = call(*flags(tiny, tmp_path / "run", "box", "gt_box"), config)
    assert done.code == 2
    assert re.search(message, done.err), done.err
    assert not (tmp_path / "run").exists()
