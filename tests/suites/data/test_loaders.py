"""Processes that read images: the same samples, and nothing left of them however they end."""

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.loaders import Loaders
from sambench.suites.data.sample import load_sample

PATIENCE = 20.0
SIZE = (12, 9)  # (H, W)


@pytest.fixture
def entries(tmp_path):
    """Six images with a polygon, a compressed and an uncompressed RLE, and none; of the last without any."""
    rng = np.random.default_rng(0)
    runs = {"size": list(SIZE), "counts": [13, 5, 7, 3, SIZE[0] * SIZE[1] - 28]}
    kinds = [[[1, 1, 7, 2, 5, 9.5]], runs, [[0, 0, 3, 0, 3, 3], [5, 5, 9, 5, 9, 12]]]
    images, annotations = [], []
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (*SIZE, 3), np.uint8)).save(tmp_path / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": SIZE[0], "width": SIZE[1]})
        for kind in kinds[: 3 if i < 5 else 0]:
            one = {"id": len(annotations), "image_id": i, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4}
            annotations.append(one | {"iscrowd": i % 2, "segmentation": kind})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return CocoDataset(tmp_path, tmp_path / "a.json").entries


def plain(sample):
    """All of a sample, arrays with their kind, so that two can be compared."""
    if isinstance(sample, np.ndarray):
        return sample.shape, sample.dtype, sample.tobytes(), sample.flags.c_contiguous, sample.flags.writeable
    if dataclasses.is_dataclass(sample):
        return {f.name: plain(getattr(sample, f.name)) for f in dataclasses.fields(sample)}
    return [plain(one) for one in sample] if isinstance(sample, tuple) else sample


@pytest.mark.parametrize("count", [1, 3])
def test_samples_are_those_of_this_process_in_order(entries, count):
    with Loaders(count) as loaders:
        found = [one() for one in loaders.samples(entries * 2)]
    assert [plain(one) for one in found] == [plain(load_sample(entry)) for entry in entries * 2]
    assert found[0].categories == {1: "thing"}


def test_real_samples_too(coco_mini):
    entries = CocoDataset(*coco_mini).entries[::9]
    with Loaders(2) as loaders:
        found = [plain(one()) for one in loaders.samples(entries)]
    assert found == [plain(load_sample(entry)) for entry in entries]


def test_no_images_are_no_samples():
    with Loaders(1) as loaders:
        assert list(loaders.samples([])) == []


def test_what_is_damaged_is_said_in_the_same_words_at_its_turn(entries):
    entries[2].file.write_bytes(b"no image")
    with Loaders(2) as loaders:
        found = list(loaders.samples(entries))
    with pytest.raises(SambenchError) as here:
        load_sample(entries[2])
    with pytest.raises(SambenchError) as there:
        found[2]()
    assert str(there.value) == str(here.value)
    assert [one().image_id for i, one in enumerate(found) if i != 2] == [0, 1, 3, 4, 5]


def test_a_process_that_dies_is_replaced(entries):
    with Loaders(2) as loaders:
        samples = loaders.samples(entries * 20)
        found = [next(samples)()]
        for process in multiprocessing.active_children():
            process.kill()
        found += [one() for one in samples]
    assert [one.image_id for one in found] == [entry.record.id for entry in entries * 20]


@pytest.fixture
def endless(entries):
    """An image that no process comes to the end of."""
    entries[3].file.unlink()
    os.mkfifo(entries[3].file)
    return entries[3].file


def test_an_image_whose_process_dies_twice_is_named(entries, endless):
    over = threading.Event()

    def kill():
        while not over.wait(0.01):
            try:
                held = os.open(endless, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads it yet
                continue
            for process in multiprocessing.active_children():
                process.kill()
                process.join()
            os.close(held)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with Loaders(1) as loaders:
            found = list(loaders.samples(entries))
    finally:
        over.set()
        killer.join()
    with pytest.raises(SambenchError, match=r"3\.png: the process .* died of SIGKILL, twice"):
        found[3]()
    assert [one().image_id for i, one in enumerate(found) if i != 3] == [0, 1, 2, 4, 5]


def test_signals_of_a_job_do_not_reach_them(entries):
    with Loaders(2) as loaders:
        samples = loaders.samples(entries * 10)
        next(samples)()
        before = {process.pid for process in multiprocessing.active_children()}
        for pid in before:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        assert sum(1 for _ in samples) == 59
        assert {process.pid for process in multiprocessing.active_children()} == before


def test_nothing_is_held_once_samples_are_gone(entries):
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("only Linux tells what is open")
    before = None
    for _ in range(3):
        with Loaders(1) as loaders:
            found = [one() for one in loaders.samples(entries)]
        held = len(os.listdir("/proc/self/fd"))
        del found
        after = len(os.listdir("/proc/self/fd"))
        assert held > after
        assert before is None or after == before  # the first starts Python's own tracker
        before = after
    assert not multiprocessing.active_children()


SCRIPT = """
import multiprocessing, sys, time
from pathlib import Path
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.loaders import Loaders

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    loaders = Loaders(2).__enter__()
    samples = loaders.samples(CocoDataset(folder, folder / "a.json").entries)
    next(samples)()
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    time.sleep(float(sys.argv[2]))
"""


def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("how", ["killed", "at its end"])
def test_they_end_with_the_process_that_started_them(entries, tmp_path, how):
    if not Path("/proc/self/stat").exists():
        pytest.skip("only Linux tells what runs")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path), "60" if how == "killed" else "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = parent.stdout.readline().split()
        if how == "killed":
            parent.kill()
        assert parent.wait(PATIENCE) == (-signal.SIGKILL if how == "killed" else 0)
    assert len(pids) == 2
    until = time.monotonic() + PATIENCE
    while not all(map(ended, pids)):
        assert time.monotonic() < until, "they live on"
        time.sleep(0.05)
