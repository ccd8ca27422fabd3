"""Options that several commands share; those of a configuration are its keys (`harness.config.keys`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sambench.harness.cli import complete

Config = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE.yaml",
        help="YAML file; its keys are the flags, with _ for - (docs/configuration.md). Flags win over it.",
    ),
]
Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        "--model",
        autocompletion=complete.several(complete.models),
        help="Model names, comma-separated; see 'sambench models'.",
    ),
]
Suites = Annotated[
    str | None,
    typer.Option(
        "--suites",
        "--suite",
        autocompletion=complete.several(complete.suites),
        help="Suite names, comma-separated; see 'sambench suites'.",
    ),
]
Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        "--adapters",
        metavar="[NAME=]FILE.py:CLASS",
        help="A model of your own (docs/add-a-model.md), called by its class's name or NAME; repeatable.",
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]PATH|random",
        help="Checkpoint of a model, or of a part of one, or a random initialisation; repeatable. By default "
        "the registered file ('sambench weights list').",
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        "--datasets",
        metavar="NAME|FILE.yaml",
        autocompletion=complete.several(complete.datasets),
        help="A data set of 'sambench data list' or of a YAML file (docs/data.md); or, with --images and "
        "--annotations, what to call the data. 'coco' and 'lvis' have published numbers beside them.",
    ),
]
Images = Annotated[Path | None, typer.Option(help="Folder of its images.")]
Annotations = Annotated[Path | None, typer.Option(help="Its annotations, JSON in COCO's format.")]
Annotators = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="Further annotations of the same pairs of image and phrase, as SA-Co/Gold has; repeatable.",
    ),
]
Match = Annotated[
    str | None,
    typer.Option(
        metavar="name|basename",
        autocompletion=complete.one(complete.given("name", "basename")),
        help="How image files are found: by their whole names (default), or by the last part alone.",
    ),
]
Detections = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]FILE",
        help="A detector's boxes for it, JSON in COCO's result format; repeatable. 'vitdet', 'yolov8' "
        "and 'gdino' have published numbers beside them.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu (default), cuda, cuda:1; mps, xpu or what else torch has, untested."),
]
Engines = Annotated[
    str | None,
    typer.Option(
        "--engine",
        "--engines",
        autocompletion=complete.several(complete.engines),
        help="What runs them, comma-separated: eager (default), compile, onnxruntime, openvino, tensorrt.",
    ),
]
Precisions = Annotated[
    str | None,
    typer.Option(
        "--precision",
        "--precisions",
        autocompletion=complete.several(complete.precisions),
        help="What they compute in, comma-separated: fp32 (default), tf32, bf16, fp16, int8.",
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        autocompletion=complete.one(complete.given("inline", "processes", "torchrun", "ray")),
        help="Who does the work: inline (default), processes, torchrun or ray (docs/clusters.md); all give "
        "the same bytes.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(help="How many workers; more than one means --executor processes where none is named."),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="Threads that a worker cuts its arithmetic on the CPU into (default: one a core). Another "
        "number rounds otherwise, and makes records of its own."
    ),
]
Address = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Of a Ray cluster; by default a local one is made.")
]
MaxFailures = Annotated[
    int | None,
    typer.Option(
        help="Images that a model may fail on; they are named, and the numbers are without them (default 0: "
        "then the cell fails)."
    ),
]
Seed = Annotated[int | None, typer.Option(help="Of what is drawn: images, shifts, orders (default 0).")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for records, results.json and the report; runs/ and a name by default."),
]
Track = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="NAME",
        help="Also send results to trackers, comma-separated: mlflow (where MLFLOW_TRACKING_URI says; the "
        "default of a bare --track), tensorboard (docs/tracking.md).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, show the plan, run nothing.")]

# Of commands without a configuration.
OneDevice = Annotated[
    str, typer.Option("--device", help="cpu, cuda, cuda:1; mps, xpu or what else torch has, untested.")
]
