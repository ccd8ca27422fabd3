"""One thread a test; and where tests find real data: ``SAMBENCH_DATA``, or ``../shared/data``."""

import os
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# Read when torch is imported, in the processes that tests start too. Two processes with a thread a core each
# would wait for one another at every product, for ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile("sambench", deadline=None)  # the machine is shared
hypothesis.settings.load_profile("sambench")

TIMES = int(os.environ.get("SAMBENCH_FUZZ", "1"))
"""As many examples as otherwise do tests marked ``fuzz`` draw: `make fuzz` has them look for longer."""


def fuzz(examples: int) -> hypothesis.settings:
    """Settings of a test that reads damaged files."""
    return hypothesis.settings(max_examples=examples * TIMES)


@pytest.fixture(scope="session")
def engine_cache(tmp_path_factory):
    """``$SAMBENCH_CACHE`` for all tests of exported engines, empty at first: each graph is exported once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMBENCH_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """What the tests remember of files is not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class CocoFiles(NamedTuple):
    """A data set in COCO's format."""

    images: Path
    annotations: Path


def missing(reason):
    """Skip; on the CI machine, which has all the data, fail: nothing there may go unnoticed."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def data_root():
    """Folder of the real data sets."""
    root = (REPOSITORY / os.environ.get("SAMBENCH_DATA", "../shared/data")).resolve()
    if not root.is_dir():
        missing(f"{root}: no data here; set SAMBENCH_DATA to the folder that has coco-mini")
    return root


def files_of(root, images, annotations):
    files = CocoFiles(root / images, root / annotations)
    for path in files:
        if not path.exists():
            missing(f"{path}: not in the data folder")
    return files


@pytest.fixture(scope="session")
def coco_mini(data_root):
    """117 images of COCO val2017 with 1,175 annotations, 16 of them crowds."""
    return files_of(data_root, "coco-mini/val2017", "coco-mini/annotations/instances_val2017.json")


@pytest.fixture(scope="session")
def coco_mini_train(data_root):
    """80 images of COCO train2017 with 779 annotations, 7 of them crowds."""
    return files_of(data_root, "coco-mini/train2017", "coco-mini/annotations/instances_train2017.json")


@pytest.fixture(scope="session")
def lvis_mini(data_root):
    """52 images in LVIS v1 form: files named by ``coco_url`` alone, of val2017 and of train2017."""
    return files_of(data_root, "lvis-mini", "lvis-mini/annotations/lvis_v1_val.json")
