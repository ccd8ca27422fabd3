"""``sambench data``: drawing a data set, listing those known by name, and finding what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.cli import complete, console, options
from sambench.harness.cli.bars import bar
from sambench.harness.cli.commands import App
from sambench.suites.data.checks.problems import EXAMPLES

if TYPE_CHECKING:
    from sambench.suites.data.checks.verify import Report
    from sambench.suites.data.named import DatasetFile
    from sambench.suites.data.pictures.settings import Masks

data = App(help="Data sets.")

STYLES = {"error": "bold red", "warning": "bold yellow", "mended": "bold cyan"}


@data.command()
def make(
    name: Annotated[
        str,
        typer.Argument(autocompletion=complete.one(complete.given("shapes")), help="Which data set: shapes."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to make; must be new, or hold the same data set.")],
    images: Annotated[int, typer.Option(help="How many images.")] = 24,
    seed: Annotated[int, typer.Option(help="Another seed draws other images.")] = 0,
) -> None:
    """Draw a small data set, seeded and offline: textured shapes with exact masks, COCO and LVIS style.

    **Example**: sambench data make shapes --out data/shapes
    """
    from sambench.suites.data.shapes import make_shapes

    if name != "shapes":
        raise SambenchError(f"no data set {name!r} to make; there is shapes.{did_you_mean(name, ['shapes'])}")
    with bar("Drawing") as advance:
        summary = make_shapes(out, images, seed, on_image=lambda done: advance(done, images))
    what = "is there already" if summary.reused else "made"
    console.out.print(
        f"{summary.out}: {what}, {summary.images} images, {summary.annotations} objects "
        f"({summary.small} small, {summary.medium} medium, {summary.large} large, {summary.crowds} crowds)",
        soft_wrap=True,
    )


@data.command("list")
def list_(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE.yaml]...", help="Data sets of your own, to list too."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the data sets that can be named with --dataset, and whether they are there.

    **Example**: sambench data list my.yaml
    """
    from sambench.suites.data.named import known, read

    rows = [
        _row(read(file), str(file) in map(str, files or [])) for file in [*known().values(), *(files or [])]
    ]
    console.print_rows(rows, as_json, shown=("name", "title", "state"))


def _row(file: DatasetFile, own: bool) -> dict[str, Any]:
    """Describe a data set; one of the user's own goes by its file's path."""
    from sambench.suites.data.pictures.matching import split_pattern

    try:
        paths = file.paths()
    except SambenchError as error:
        state = str(error).removeprefix(f"{file.source}: ")
    else:
        missing = [str(path) for path in paths if not split_pattern(path)[0].exists()]
        state = f"missing: {', '.join(missing)}" if missing else "there"
    facts = {key: getattr(file, key) for key in ("title", "images", "annotations", "masks", "format", "note")}
    return {"name": str(file.source) if own else file.source.stem, "state": state, **facts}


@data.command()
def verify(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ANNOTATIONS|NAME|FILE.yaml",
            autocompletion=complete.one(complete.datasets),
            help="JSON in COCO's or LVIS's format, or a data set; see 'sambench data list'.",
        ),
    ],
    images: Annotated[
        Path | None, typer.Option(help="Folder of its images; without it, the annotations alone are checked.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Look at the files and masks of so many images, those of 'run --limit'."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of that sample.")] = 0,
    fast: Annotated[
        bool, typer.Option("--fast", help="Read the headers of images, and not whether they are cut off.")
    ] = False,
    match: options.Match = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.json",
            help="Write the annotations as a run reads them: ids, sizes, boxes, areas and masks as COCO has "
            "them, and boxes that cannot be right taken from their masks.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Find everything that is wrong with a data set, in one pass.

    An **error** would make a run fail or some of its numbers false, a **warning** is worth knowing, and what
    is **mended** is read as it was meant; docs/data.md explains each. A run asks the same. The exit code is
    2 where there are errors.

    **Example**: sambench data verify annotations/instances_val2017.json --images val2017
    """
    if fix is not None and limit is not None:
        raise SambenchError("--fix writes all images; leave out --limit.")
    if fix is not None and fix.exists():
        raise SambenchError(f"--fix {fix}: is there already. Give a new name.")
    with bar("Checking") as advance:
        sample = {"limit": limit, "seed": seed, "thorough": not fast, "on_image": advance}
        report, annotations, folder, has_void = _checked(what, images, match, **sample)
    if as_json:
        console.print_json(_as_json(report, annotations, folder))
    else:
        _show(report, annotations, folder)
    if fix is not None:
        _fix(report, annotations, fix)
        if has_void:
            console.warn("void pixels are background in the file: COCO's format has none that count nowhere")
    elif report.errors:
        raise typer.Exit(2)


def _checked(
    what: str, images: Path | None, match: str | None, **sample: Any
) -> tuple[Report, Path, Path | None, bool]:
    """Check a data set: what was found, its annotations and images, and whether masks have void pixels."""
    from sambench.suites.data.checks.verify import verify as check
    from sambench.suites.data.named import read_match
    from sambench.suites.data.pictures.listing import verify_pictures

    if found := _pictures(what):
        folder, masks = found
        return verify_pictures(folder, masks, **sample), masks.folder, folder, bool(masks.void)
    annotations, beside, lvis, named_match = _named(what)
    by = read_match(match or named_match, "command line")
    report = check(annotations, images or beside, match=by, lvis=lvis, **sample)
    return report, annotations, images or beside, False


def _pictures(what: str) -> tuple[Path, Masks] | None:
    """Return images and masks of a data set that has pictures in place of annotations."""
    from sambench.suites.data.named import find, is_known

    file = find(what) if is_known(what) else None
    masks = file.pictures() if file else None
    return None if file is None or masks is None else (file.paths()[0], masks)


def _fix(report: Report, annotations: Path, out: Path) -> None:
    """Write the normalised annotations, or mask pictures as such.

    Raises:
        SambenchError: something is wrong that only the user can put right.
    """
    from sambench.adapters.files import write_atomic
    from sambench.suites.data.checks.kinds import MENDABLE

    if report.has_pairs:
        raise SambenchError(
            f"{annotations}: has pairs of an image and a phrase, and --fix writes COCO's images with "
            "categories. A run reads it as it is."
        )
    left = [problem for problem in report.errors if problem.name not in MENDABLE]
    if left or report.normalised is None:
        kinds = ", ".join(f"{problem.kind.what} ({problem.count:,})" for problem in left)
        raise SambenchError(f"{annotations}: cannot be mended: {kinds}. Nothing was written.")
    write_atomic(out, report.normalised())
    for problem in report.problems:
        if problem.severity == "mended" or problem.name in MENDABLE:
            console.say(f"mended: {problem.kind.what} ({problem.count:,})")
    for column in report.renumbered:
        console.warn(
            f"each {column} is a new number in {out.name}, and the old one its given_id: give files of "
            "detections that name them the new ones too, or keep to the file as it was"
        )
    console.out.print(f"{out}: written", soft_wrap=True)


def _named(what: str) -> tuple[Path, Path | None, bool | None, str | None]:
    """Return annotations, images, whether LVIS's fields are expected (``None``: if it has some), match."""
    from sambench.suites.data.named import find, is_known

    path = Path(what).expanduser()
    if not is_known(what) and (path.suffix in (".json", ".gz", ".jsonl") or path.exists()):
        return path, None, None, None
    file = find(what)
    images, annotations = file.paths()
    return annotations, images, None if file.format is None else file.format == "lvis", file.match


def _show(report: Report, annotations: Path, images: Path | None) -> None:
    for problem in report.problems:
        kind = problem.kind
        style = STYLES[problem.severity]
        console.out.print(f"{problem.severity}: {kind.what} ({problem.count:,})", style=style, soft_wrap=True)
        shown = problem.examples[:EXAMPLES]
        for example in shown:
            console.out.print(f"    {example}", soft_wrap=True)
        if problem.count > len(shown):
            console.out.print(f"    and {problem.count - len(shown):,} more")
        console.out.print(f"  {kind.remedy}\n", soft_wrap=True)
    kinds = [problem.severity for problem in report.problems]
    found = f"{_counted(kinds.count('error'), 'error')}, {_counted(kinds.count('warning'), 'warning')}"
    if "mended" in kinds:
        found += f", {kinds.count('mended')} mended"
    console.out.print(
        f"{annotations}: {report.images:,} images, {report.annotations:,} annotations, "
        f"{report.categories:,} categories: {found if report.problems else 'nothing is wrong'}",
        soft_wrap=True,
    )
    if images is None:
        console.say("Image files were not looked at; --images DIR does that.")
    if report.looked_at < report.images:
        console.say(f"Masks and files of {report.looked_at:,} images were looked at.")


def _counted(count: int, kind: str) -> str:
    return f"no {kind}s" if not count else f"1 kind of {kind}" if count == 1 else f"{count} kinds of {kind}s"


def _as_json(report: Report, annotations: Path, images: Path | None) -> dict[str, Any]:
    return {
        "annotations_file": str(annotations),
        "images_folder": None if images is None else str(images),
        "images": report.images,
        "annotations": report.annotations,
        "categories": report.categories,
        "looked_at": report.looked_at,
        "errors": sum(p.count for p in report.errors),
        "warnings": sum(p.count for p in report.problems if p.severity == "warning"),
        "mended": sum(p.count for p in report.problems if p.severity == "mended"),
        "problems": [p.to_json() for p in report.problems],
    }
