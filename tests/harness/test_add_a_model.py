"""docs/add-a-model.md works as written; models from outside fail with words, not with the run."""

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
from command import call, cell_of, cells_of, flags, shards_of

from sambench.adapters import plugins, registry
from tests.golden import golden

DOC = Path(__file__).parents[2] / "docs" / "add-a-model.md"


@pytest.fixture(autouse=True)
def no_models_left_behind():
    yield
    registry._added.clear()
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

    name, target = plugins.from_file(f"{patch}:PatchSam")
    model = plugins.load(target)(name, weights=None, device=torch.device("cpu")).model
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
    from sambench.harness.provenance import code_digest

    code_digest.cache_clear()
    assert call(*command).code == 0
    after = shards_of(tmp_path / "run")
    new = after.keys() - before.keys()
    assert new
    assert all("Colour" in path for path in new)


def test_what_an_adapter_imports_from_beside_it_decides_its_cells_too(write):
    from sambench.harness.provenance import code_digest

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
        ("", "m.py", "say path/to/file.py:Class"),
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
    assert (
        registry.entry("box").target == "sambench.adapters.families.baselines:Box"
    )  # and no package replaces ours
    done = call(*flags(tiny, tmp_path / "run", "my_colour", "gt_box"))
    assert done.code == 0, done.err
    assert cell_of(tmp_path / "run", model="my_colour")["status"] == "done"
