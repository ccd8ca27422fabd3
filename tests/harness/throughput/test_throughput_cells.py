"""Rounds, order, resume and cells, with processes whose times are made up."""

from __future__ import annotations

import dataclasses
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from sambench.adapters.profile import profile
from sambench.evsam.errors import SambenchError
from sambench.harness.events import Events
from sambench.harness.results import ResultsFile
from sambench.harness.throughput import schedule, worker_process
from sambench.harness.throughput.config import load_throughput
from sambench.harness.throughput.cooling import Cooling
from sambench.harness.throughput.marks import marks_among, marks_of
from sambench.harness.throughput.plan import make_plan
from sambench.harness.throughput.progress import ThroughputProgress
from sambench.harness.throughput.worker_process import death
from sambench.suites.results import load_results
from sambench.suites.throughput.job import from_json
from sambench.suites.throughput.metrics import METRICS
from sambench.suites.throughput.worker import SAMPLES

QUIET = {"disturbances": [], "power_capped": False, "absent": "", "load": [0.1, 0.2, 0.3]}
SPEED = {"sam_vit_h": 1.0, "mobile_sam": 10.0, "efficientvit_sam_l0": 40.0, "ellipse": 99.0}
ALL = ",".join([*SPEED][:3])
FACTOR = {"pipelined": 1.0, "serial": 0.8, "compute": 1.1}


class Machine:
    """Stands in for the processes; a round's speeds all share its weather."""

    def __init__(self, weather=(1.0, 0.5, 0.8), ceiling=90.0, refuse=(), fail=(), lacking=()):
        self.weather, self.ceiling = weather, ceiling
        self.refuse, self.fail, self.lacking = refuse, fail, lacking
        self.weights = {"source": "random", "seed": 0}  # that its processes load
        self.images = dict.fromkeys(SPEED, "all")
        self.asked = []

    def __call__(self, job, stem, timeout):
        job = from_json(json.loads(json.dumps(job.to_json())))  # as it travels
        self.asked.append(job)
        stem.parent.mkdir(parents=True, exist_ok=True)
        result = self.gate(job) if job.kind == "gate" else self.measure(job, stem)
        stem.with_name(f"{stem.name}.json").write_text(json.dumps(result))
        return result

    def gate(self, job):
        refusal = "parity: wrong" if (job.model.name, job.model.precision) in self.refuse else None
        gate = {"images": 8, "masks": 50, "finite": True, "mean_iou": 1.0, "least_iou": 1.0}
        return {
            "status": "done",
            "gate": gate,
            "refusal": refusal,
            "batch_refusals": {str(b): f"no batch of {b}" for b in job.batches if b in self.lacking},
            "weights": self.weights,
            "seconds": 1.0,
        }

    def measure(self, job, stem):
        if (job.model.name, job.scope) in self.fail:
            return {"status": "failed", "reason": "out of memory: made up"}
        weather = self.weather[int(stem.name[-2:])]
        rows = []
        for mode in job.modes:
            second = job.batch / (SPEED[job.model.name] * FACTOR[mode] * weather)
            for i, wobble in enumerate((0.99, 1.0, 1.01)):
                place = {"mode": mode, "audit": False, "index": i, "batch": i}
                rows.append(place | {"seconds": second * wobble, "host_seconds": 0.0})
        pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES), stem.with_name(f"{stem.name}.parquet"))
        warmup = {"batches": 4, "seconds": 1.0, "stable": True}
        mode = {"status": "done", "warmup": warmup, "peak_memory_mb": 100.0, "monitor": QUIET}
        facts = {
            "inputs": {"images": 64, "of": 64, "batches": 8, "sha256": self.images[job.model.name]},
            "images_per_batch": job.batch,
            "prompts_per_batch": job.batch,
            "note": "",
            "settings": {"torch": "2", "threads": 3},
            "host": "elsewhere",
            "cpu_capability": "AVX9",
            "weights": self.weights,
            "ceilings": {"tflop_s": self.ceiling, "product_tflop_s": 45.0, "gb_s": 30.0},
        }
        return {"status": "done", "facts": facts, "modes": dict.fromkeys(job.modes, mode), "seconds": 100.0}


@pytest.fixture
def measured(coco_mini, tmp_path, monkeypatch):
    """Run a plan on a made-up machine; return the cells."""

    def run(machine, *, models=ALL, told=None, **flags):
        monkeypatch.setattr(schedule, "run_job", machine)
        data = {"images": str(coco_mini.images), "annotations": str(coco_mini.annotations)}
        weights = dict.fromkeys(models.split(","), "random")
        given = {"models": models, "weights": weights, "out": str(tmp_path / "out"), **data} | flags
        config, _ = load_throughput(None, given)
        plan = make_plan(config, "made up")
        with ThroughputProgress(Console(file=told or io.StringIO())) as progress:
            events = Events([ResultsFile(config.out)], warn=pytest.fail)
            return schedule.run(plan, progress, events, "sambench throughput", None)

    return run


def by_place(cells):
    return {
        (c.model, c.precision, c.protocol["scope"], c.protocol["mode"], c.protocol["batch"]): c for c in cells
    }


def test_speeds_shares_and_ratios(measured):
    cells = by_place(measured(Machine(), scopes="E,D16", batch_sizes="1,4"))
    assert len(cells) == 3 * (2 * 3 + 3)  # the decoder has one batch size
    l0 = cells["efficientvit_sam_l0", "fp32", "E", "pipelined", 4]
    assert set(l0.metrics) <= {metric.name for metric in METRICS}
    three = 3 / (0.99 + 1.0 + 1.01)  # of the wobble
    assert l0.metrics["img_s"] == pytest.approx(40 * 0.8 * three)
    assert l0.intervals["img_s"] == pytest.approx([20 * three, 40 * three])
    assert l0.metrics["latency_ms_p50"] == pytest.approx(1000 * 4 / 32)
    cost = profile("efficientvit_sam_l0")
    reached = 2 * cost.encoder.macs.plain * l0.metrics["img_s"] / 1e12
    assert l0.metrics["tflop_s"] == pytest.approx(reached)
    assert l0.metrics["ceiling_share"] == pytest.approx(100 * reached / 90)
    assert l0.metrics["product_tflop_s"] == 45.0
    assert l0.metrics["params_m"] == pytest.approx(cost.params / 1e6)
    for name in ("ratio_vit_h", "ratio_vit_h_released", "ratio_vit_h_best"):
        assert l0.metrics[name] == pytest.approx(40)  # the weather cancels
        assert l0.intervals[name] == pytest.approx([40, 40])
    decoder = cells["efficientvit_sam_l0", "fp32", "D16", "serial", 1]
    assert "tflop_s" not in decoder.metrics
    assert decoder.metrics["prompts_s"] == pytest.approx(decoder.metrics["img_s"])
    assert decoder.counts == {"rounds": 3, "batches": 9}
    assert all(c.provenance["marks"] == [] for c in cells.values())


def test_each_round_measures_all_models_in_an_order_of_its_own_that_the_seed_decides(measured):
    machine = Machine((1.0,) * 6)
    measured(machine, rounds=6, scopes="E", batch_sizes="1")
    jobs = [job.model.name for job in machine.asked if job.kind == "measure"]
    assert [job.kind for job in machine.asked[:3]] == ["gate"] * 3  # before any speed
    rounds = [tuple(jobs[i : i + 3]) for i in range(0, 18, 3)]
    assert all(sorted(one) == sorted(ALL.split(",")) for one in rounds)
    assert len(set(rounds)) > 1


def test_finished_rounds_are_not_measured_again_and_others_are(measured):
    first, again, more, other = (Machine((1.0,) * 4) for _ in range(4))
    one = measured(first, scopes="E")
    assert [c.metrics for c in measured(again, scopes="E")] == [c.metrics for c in one]
    assert again.asked == []
    measured(more, scopes="E", rounds=4)
    assert len(more.asked) == 3  # one round more of each
    measured(other, scopes="E", seconds=9, rounds=1)
    assert {job.kind for job in other.asked} == {"measure"}  # another question; the gates still hold
    assert len(other.asked) == 3


def test_a_failed_measurement_is_a_row_and_is_tried_again_by_the_next_command(measured):
    machine = Machine(fail={("mobile_sam", "E")})
    cells = by_place(measured(machine, scopes="E,E2E"))
    failed = cells["mobile_sam", "fp32", "E", "serial", 1]
    assert (failed.status, failed.reason, failed.metrics) == ("failed", "out of memory: made up", {})
    assert cells["mobile_sam", "fp32", "E2E", "serial", 1].status == "done"
    assert (
        sum((j.model.name, j.scope) == ("mobile_sam", "E") for j in machine.asked if j.kind == "measure") == 1
    )
    mended = Machine()
    cells = by_place(measured(mended, scopes="E,E2E"))
    assert cells["mobile_sam", "fp32", "E", "serial", 1].status == "done"
    assert {(j.model.name, j.scope) for j in mended.asked} == {("mobile_sam", "E")}


def test_an_engine_with_wrong_masks_is_invalid_and_never_timed(measured):
    machine = Machine(refuse={("mobile_sam", "bf16")})
    cells = by_place(measured(machine, scopes="E", precisions="fp32,bf16"))
    wrong = cells["mobile_sam", "bf16", "E", "pipelined", 1]
    assert (wrong.status, wrong.reason, wrong.metrics) == ("invalid", "parity: wrong", {})
    assert not any(
        (j.model.name, j.model.precision, j.kind) == ("mobile_sam", "bf16", "measure") for j in machine.asked
    )
    best = cells["efficientvit_sam_l0", "bf16", "E", "pipelined", 1].metrics
    assert best["ratio_vit_h"] == pytest.approx(40)  # with SAM-ViT-H in bf16
    assert best["ratio_vit_h_released"] == pytest.approx(40)  # and in fp32


def test_a_precision_that_an_engine_lacks_is_no_failure(measured):
    cells = by_place(measured(Machine(), scopes="E", precisions="fp32,int8"))
    lacking = cells["mobile_sam", "int8", "E", "serial", 1]
    assert lacking.status == "not_applicable"
    assert "does not compute in int8" in lacking.reason


def test_a_batch_size_that_a_model_cannot_be_timed_at_starts_no_process(measured):
    machine = Machine(lacking={4})
    cells = by_place(measured(machine, models="mobile_sam", scopes="E2E,D16", batch_sizes="1,4"))
    lacking = cells["mobile_sam", "fp32", "E2E", "serial", 4]
    assert (lacking.status, lacking.reason, lacking.metrics) == ("not_applicable", "no batch of 4", {})
    assert cells["mobile_sam", "fp32", "E2E", "serial", 1].status == "done"
    assert cells["mobile_sam", "fp32", "D16", "serial", 1].status == "done"
    assert {job.batch for job in machine.asked if job.kind == "measure"} == {1}
    assert [job.batches for job in machine.asked if job.kind == "gate"] == [(1, 4)]


def test_what_a_process_finds_not_applicable_is_no_failure(measured):
    class Refusing(Machine):
        def gate(self, job):
            return {"status": "failed", "kind": "not_applicable", "reason": "takes no boxes"}

    machine = Refusing()
    cells = measured(machine, models="mobile_sam", scopes="E,D16")
    assert {cell.status for cell in cells} == {"not_applicable"}
    assert {job.kind for job in machine.asked} == {"gate"}


def test_an_encoder_that_a_model_without_parameters_cannot_have_is_refused_by_the_plan(measured):
    machine = Machine()
    machine.weights = {"source": "none"}
    cells = by_place(measured(machine, models="ellipse", weights={}, scopes="E,E2E"))
    refused = cells["ellipse", "fp32", "E", "serial", 1]
    assert refused.status == "not_applicable"
    assert "no encoder" in refused.reason
    assert cells["ellipse", "fp32", "E2E", "serial", 1].status == "done"
    assert {job.scope for job in machine.asked if job.kind == "measure"} == {"E2E"}
    with pytest.raises(SambenchError, match="no encoder"):
        measured(Machine(), models="ellipse", weights={}, scopes="E")


@pytest.mark.parametrize("when", ["gate", "round"])
def test_weights_that_changed_under_way_have_no_speed(measured, when):
    class Replaced(Machine):
        """Its processes load another file from the gate, or from the second round, on."""

        def __call__(self, job, stem, timeout):
            if (job.kind == "gate" and when == "gate") or stem.name == "round-01":
                self.weights = self.weights | {"seed": 7}
            return super().__call__(job, stem, timeout)

    machine = Replaced()
    cells = measured(machine, models="mobile_sam", scopes="E,D16", rounds=3)
    for cell in cells:
        assert (cell.status, cell.metrics) == ("invalid", {})
        assert "weights changed since this was planned, from random 0 to random 7" in cell.reason
    assert len([job for job in machine.asked if job.kind == "measure"]) == (0 if when == "gate" else 4)
    mended = Machine()
    assert {cell.status for cell in measured(mended, models="mobile_sam", scopes="E,D16")} == {"done"}
    assert ("gate" in {job.kind for job in mended.asked}) == (when == "gate")  # what was wrong is made anew


def test_a_ratio_is_of_the_same_images(measured):
    machine = Machine()
    machine.images["mobile_sam"] = "those of one shape"
    cells = by_place(measured(machine, scopes="E"))
    assert "ratio_vit_h" not in cells["mobile_sam", "fp32", "E", "serial", 1].metrics
    assert "ratio_vit_h" in cells["efficientvit_sam_l0", "fp32", "E", "serial", 1].metrics


def test_a_cell_says_where_it_ran_and_what_decided_its_speed(measured, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    (cell,) = measured(Machine(), models="mobile_sam", scopes="E", modes="serial")
    provenance = cell.provenance
    assert provenance["environment"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert provenance["hardware"]["device"] == "made up"
    assert provenance["hardware"]["host"] == "elsewhere"  # as the process said, not this one
    assert provenance["hardware"]["cpu_capability"] == "AVX9"
    assert provenance["hardware"]["threads"] == provenance["settings"]["threads"] == 3
    assert provenance["inputs"]["images"] == 64


@pytest.mark.parametrize(
    "name", ["OMP_WAIT_POLICY", "MKL_DYNAMIC", "ONEDNN_MAX_CPU_ISA", "NVIDIA_TF32_OVERRIDE"]
)
def test_another_environment_is_another_measurement(measured, monkeypatch, name):
    first, same, other = Machine(), Machine(), Machine()
    one = {"models": "mobile_sam", "scopes": "E", "rounds": 1}
    monkeypatch.delenv(name, raising=False)
    measured(first, **one)
    measured(same, **one)
    monkeypatch.setenv(name, "1")
    measured(other, **one)
    assert [len(machine.asked) for machine in (first, same, other)] == [2, 0, 2]


def test_how_long_it_takes_is_said_once_each_measurement_has_had_a_round(measured, monkeypatch):
    told, now = io.StringIO(), [0.0]

    class Slow(Machine):
        def __call__(self, job, stem, timeout):
            now[0] += 100
            return super().__call__(job, stem, timeout)

    monkeypatch.setattr(schedule.time, "monotonic", lambda: now[0])
    measured(Slow((1.0,) * 3), models="mobile_sam", scopes="E,D16", rounds=3, told=told)
    monkeypatch.undo()
    lines = told.getvalue().splitlines()
    assert ["left" in line for line in lines] == [False] * 3 + [True] * 4  # gate and first round: not yet
    assert [line.rpartition("about ")[2] for line in lines[3:]] == [
        "7 min left",  # four processes of 100 s
        "5 min left",
        "3 min left",
        "2 min left",
    ]


def test_a_limit_is_every_processs_and_decides_no_number(measured):
    limits = []

    class Timed(Machine):
        def __call__(self, job, stem, timeout):
            limits.append(timeout)
            return super().__call__(job, stem, timeout)

    measured(Timed(), models="mobile_sam", scopes="E", rounds=1, timeout=90)
    assert limits == [90.0, 90.0]
    measured(Timed(), models="mobile_sam", scopes="E", rounds=1)
    assert len(limits) == 2  # all on disk
    with pytest.raises(SambenchError, match="timeout must be a number of seconds above 0"):
        measured(Timed(), timeout=0)


def test_results_are_there_after_each_round(measured, tmp_path):
    machine = Machine((1.0, 1.0, 1.0))
    seen = []

    def so_far(job, stem, timeout):
        (cell,) = load_results(tmp_path / "out")
        seen.append((cell.status, cell.counts.get("rounds", 0)))
        return machine(job, stem, timeout)

    measured(so_far, models="mobile_sam", scopes="E", modes="serial")
    (cell,) = load_results(tmp_path / "out")
    assert seen == [("unfinished", 0), ("unfinished", 0), ("done", 1), ("done", 2)]  # the first is the gate
    assert (cell.status, cell.counts["rounds"]) == ("done", 3)


def facts(**more):
    return {"note": "", "settings": {}, **more}


def mode(**more):
    return {"warmup": {"stable": True}, "monitor": QUIET} | more


CALM = {"cov": 1.0, "ceiling_share": 50.0, "img_s": 10.0}
SAMPLE = [([1.0], [0.5])]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"metrics": CALM | {"cov": 2.6}}, ["unsteady: batches vary by 2.6%"]),
        ({"metrics": CALM | {"ceiling_share": 101.0}}, ["ceiling: the model reached more"]),
        ({"metrics": CALM | {"ceiling_share": None}}, []),
        ({"metrics": CALM | {"audit_gain": 3.1}}, ["audit: 3.1% faster"]),
        ({"metrics": CALM | {"audit_gain": 2.9}}, []),
        ({"failed": 2}, ["incomplete: 2 rounds failed"]),
        ({"modes": [mode(), mode(warmup={"stable": False})]}, ["warm-up: ended by its limit"]),
        (
            {"modes": [mode(monitor=QUIET | {"disturbances": ["x"]}), mode()]},
            ["disturbed: in 1 of 2 rounds, x"],
        ),
        ({"modes": [mode(monitor=QUIET | {"power_capped": True})]}, ["power cap"]),
        ({"modes": [mode(monitor=QUIET | {"absent": "no pynvml"})]}, ["unwatched: no pynvml"]),
        ({"facts": facts(settings={"cuda": "13"}), "samples": [([1.0] * 3, [0.9] * 3)]}, ["host-bound"]),
        ({"facts": facts(settings={"cuda": "13"}), "samples": [([1.0] * 3, [0.7] * 3)]}, []),
        ({"samples": [([1.0] * 3, [0.9] * 3)]}, []),  # on a CPU the host is who computes
        ({"facts": facts(note="through embed")}, ["note: through embed"]),
    ],
)
def test_marks_of_a_cell_by_itself(changes, words):
    given = {"metrics": CALM, "modes": [mode()], "samples": SAMPLE, "facts": facts(), "failed": 0} | changes
    found = list(marks_of(**given))
    assert len(found) == len(words)
    assert all(mark.startswith(word) for mark, word in zip(found, words, strict=True))


def test_marks_among_cells():
    peers = [
        (("E", "serial", 1), {"img_s": 10.0}),
        (("E", "pipelined", 1), {"img_s": 9.9}),
        (("E", "pipelined", 4), {"img_s": 9.0}),
        (("E2E", "serial", 4), {"img_s": 99.0}),
    ]
    assert list(marks_among(("E", "pipelined", 1), {"img_s": 9.9}, peers)) == []  # within the slack
    assert list(marks_among(("E", "pipelined", 1), {"img_s": 9.0}, peers)) == [
        "order: pipelined is slower than serial"
    ]
    assert list(marks_among(("E", "pipelined", 4), {"img_s": 9.0}, peers)) == [
        "order: slower than at batch 1"
    ]
    assert list(marks_among(("E", "serial", 1), {"img_s": 10.0}, peers)) == []


@pytest.mark.parametrize(
    ("code", "stderr", "words"),
    [
        (-9, "", "killed (signal 9)"),
        (-11, "Fatal Python error\nsomething", "SIGSEGV: something"),
        (1, "Traceback\nImportError: no libcuda", "code 1: ImportError: no libcuda"),
        (3, "", "code 3: nothing was said"),
    ],
)
def test_a_death_is_told_in_a_line(code, stderr, words):
    assert words in death(code, stderr)


def test_a_gpu_cools_down_but_nobody_waits_for_ever(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(
        "sambench.harness.throughput.cooling.time.sleep", lambda s: now.__setitem__(0, now[0] + s)
    )
    monkeypatch.setattr("sambench.harness.throughput.cooling.time.monotonic", lambda: now[0])
    readings = iter([40.0, 60.0, 50.0, 45.0, 44.0])
    Cooling(lambda: next(readings)).wait()
    assert now[0] == 3.0  # 60, 50, 45; 44 is cool
    warm = iter([40.0])
    Cooling(lambda: next(warm, 90.0)).wait()
    assert now[0] == 123.0


def test_a_job_travels_as_it_is(coco_mini, tmp_path):
    data = {"images": str(coco_mini.images), "annotations": str(coco_mini.annotations)}
    config, _ = load_throughput(None, {"models": "box", "out": str(tmp_path / "o"), "audit": True, **data})
    plan = make_plan(config, "made up")
    for job in (plan.gates[0].job, *(m.job for m in plan.measurements)):
        assert from_json(json.loads(json.dumps(job.to_json()))) == job
        assert dataclasses.replace(job, seed=1) != job
    assert worker_process.read_result(plan.gates[0].stem) is None
