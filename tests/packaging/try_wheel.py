"""The wheel in clean environments: ``python -m tests.packaging.try_wheel python3.11``, or ``make wheel``.

For each interpreter a new environment with the wheel and its minimal dependencies, then ``pip check``, an
import of all modules, help, the drawn data set and a small run on it. With ``--extras`` each extra alone as
well: a copy of that environment (hard links: nothing comes twice), the extra on top, and the same trial.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

EVERY_MODULE = """
import importlib, pkgutil
names = [f"sambench.{name}" for name in ("evsam", "adapters", "suites", "reports", "harness")]
for name in names:
    module = importlib.import_module(name)
    below = pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}.")
    names += [one.name for one in below if not one.name.endswith("__main__")]
print(len(names), "modules")
"""
"""No module may need an extra to be imported, only to be used."""

USES = {"onnx": ("--engine", "onnxruntime"), "openvino": ("--engine", "openvino")}
"""How a run makes use of an extra; the report comes by itself."""

RUN = ("--models", "efficientvit_sam_nano,box", "--suites", "gt_box,click", "--dataset", "shapes")


def main() -> None:
    """Try the wheel on each interpreter; exit with 1 where a trial failed."""
    given = _arguments()
    failed = []
    with tempfile.TemporaryDirectory(prefix="sambench-wheel-", dir=given.folder) as folder:
        wheel = given.wheel or build(ROOT, Path(folder))
        print(f"wheel {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
        for interpreter in given.interpreters:
            failed += try_interpreter(interpreter, wheel, Path(folder) / "trial", given)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("interpreters", nargs="+", help="such as python3.12")
    parser.add_argument("--wheel", type=Path, help="this one; else it is built")
    parser.add_argument("--require", nargs="*", default=[], help="also install, such as torch==2.13.0")
    parser.add_argument("--extras", default="", help="then each of these alone, comma-separated")
    parser.add_argument("--folder", type=Path, help="with room for several GB (default: the system's)")
    return parser.parse_args()


def build(sources: Path, out: Path) -> Path:
    """Build the wheel out of the source distribution of a folder, apart from it, and return its file."""
    _run([sys.executable, "-m", "build", "--outdir", str(out), str(sources)], out)
    (wheel,) = out.glob("sambench-*.whl")
    return wheel


def try_interpreter(interpreter: str, wheel: Path, folder: Path, given: argparse.Namespace) -> list[str]:
    """Try the wheel on one interpreter, then each extra; return what failed, and leave nothing."""
    failed = []
    base = folder / "base"
    try:
        _run([interpreter, "-m", "venv", str(base)], wheel.parent)
        python = base / "bin" / "python"
        before = _size(base)
        began = time.monotonic()
        _pip(python, "install", "-q", "--no-cache-dir", str(wheel), *given.require)
        grown, seconds = (_size(base) - before) / 1e9, time.monotonic() - began
        print(f"{interpreter}: installed {grown:.2f} GB in {seconds:.0f} s", flush=True)
        failed += _trial(python, interpreter, folder / "work")
        for extra in filter(None, given.extras.split(",")):
            failed += _try_extra(base, extra, wheel, f"{interpreter} [{extra}]")
    except subprocess.CalledProcessError as error:
        failed.append(f"{interpreter} ({error.cmd[0]})")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return failed


def _try_extra(base: Path, extra: str, wheel: Path, title: str) -> list[str]:
    """Add one extra to a copy of an environment, and try that."""
    copy = base.with_name(f"with-{extra}")
    shutil.copytree(base, copy, symlinks=True, copy_function=os.link)
    python, before = copy / "bin" / "python", _size(copy)
    try:
        _pip(python, "install", "-q", "--no-cache-dir", f"{wheel}[{extra}]")
        print(f"{title}: installed {(_size(copy) - before) / 1e9:.2f} GB more", flush=True)
        return _trial(python, title, copy / "work", USES.get(extra, ()))
    except subprocess.CalledProcessError:
        return [title]
    finally:
        shutil.rmtree(copy)


def _trial(python: Path, title: str, work: Path, flags: Sequence[str] = ()) -> list[str]:
    """Use what is installed, in an empty folder; print what each step did and return what failed."""
    work.mkdir(parents=True)
    sambench = [str(python), "-P", "-m", "sambench.harness"]
    steps = {
        "pip check": [str(python), "-m", "pip", "--disable-pip-version-check", "check"],
        "import": [str(python), "-P", "-c", EVERY_MODULE],
        "--version": [*sambench, "--version"],
        "--help": [*sambench, "--help"],
        "data": [*sambench, "data", "make", "shapes", "--out", "data/shapes", "--images", "6", "--seed", "0"],
        "run": [*sambench, "run", *RUN, *flags, "--out", "out"],
        "results": [str(python), "-P", "-c", _RESULTS],
    }
    failed = []
    for step, command in steps.items():
        began = time.monotonic()
        done = _ran(command, work)
        last = (done.stdout.strip() or done.stderr.strip() or "-").splitlines()[-1]
        verdict = "ok" if done.returncode == 0 else "FAILED"
        print(f"{title}: {step}: {verdict}, {time.monotonic() - began:.1f} s: {last}", flush=True)
        if done.returncode:
            print(done.stdout[-2000:], done.stderr[-4000:], flush=True)
            failed.append(f"{title}: {step}")
    return failed


_RESULTS = """
import json
cells = json.load(open("out/results.json"))["cells"]
done = [cell for cell in cells if cell["status"] == "done"]
others = {cell["model"]: cell["status"] for cell in cells if cell not in done}
assert len(cells) == 4 and others in ({}, {"box": "not_applicable"}), cells
first = [f"{c['model']} {c['suite']} {next(iter(c['metrics'].values())):.2f}" for c in done]
print(", ".join(first))
"""


def _environment() -> dict[str, str]:
    """Return the environment without what would bring other packages or sources in."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _pip(python: Path, *arguments: str) -> None:
    _run([str(python), "-m", "pip", "--disable-pip-version-check", *arguments], python.parent)


def _run(command: list[str], cwd: Path) -> None:
    done = _ran(command, cwd)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-4000:], flush=True)
        raise subprocess.CalledProcessError(done.returncode, command)


def _ran(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=_environment(), capture_output=True, text=True, check=False)


def _size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_symlink())


if __name__ == "__main__":
    main()
