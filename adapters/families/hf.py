"""Promptable segmentation models of the transformers library, in image mode.

``hf:FOLDER`` names a folder with ``config.json`` and ``model.safetensors``; ``hf:OWNER/NAME`` a repository of
the Hugging Face hub, taken from the weights folder or from the hub's own cache on this machine. Nothing is
downloaded, and nothing in such a folder is run: parameters are read from safetensors alone, and the code is
that of the installed library. Which model it is says ``model_type`` in ``config.json``.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sambench.adapters.base import Segmenter, Weights
from sambench.adapters.extras import missing
from sambench.adapters.families import hf_concepts, hf_models
from sambench.adapters.weights.resolve import default_path, resolve
from sambench.evsam.errors import SambenchError, did_you_mean


@dataclass(frozen=True)
class Family:
    """What serves one ``model_type``."""

    model: str
    """Class of transformers."""
    since: str
    """First version of transformers that has it and builds it without asking the hub."""
    segmenter: Callable[..., Segmenter]
    """Called with name, model or models, weights and device."""
    tokens: bool = False
    """Whether it takes phrases, and the folder's ``tokenizer``."""
    detector: str | None = None
    """Class of a second model that lies in the same checkpoint."""

    @property
    def classes(self) -> list[str]:
        """All classes of transformers that it takes."""
        return [self.model, self.detector] if self.detector else [self.model]


_SAM2 = Family("Sam2Model", "4.56", hf_models.Sam2)
_EDGETAM = Family("EdgeTamModel", "5.20", hf_models.Sam2)  # from 4.57 on it asked the hub for its backbone
_TRACKER = Family("Sam3TrackerModel", "5.0", hf_models.Sam3)
_SAM3 = Family("Sam3TrackerModel", "5.0", hf_concepts.Sam3, tokens=True, detector="Sam3Model")
_LITE_TEXT = Family("Sam3LiteTextModel", "5.6", hf_concepts.Sam3Detector, tokens=True)

FAMILIES: dict[str, Family] = {
    "sam": Family("SamModel", "4.29", hf_models.Sam),
    "sam_hq": Family("SamHQModel", "4.52", hf_models.SamHQ),
    "sam2": _SAM2,
    "sam2_video": _SAM2,
    "edgetam": _EDGETAM,
    "edgetam_video": _EDGETAM,
    "sam3_tracker": _TRACKER,
    "sam3_tracker_video": _TRACKER,
    "sam3_video": _SAM3,
    "sam3": Family("Sam3Model", "5.0", hf_concepts.Sam3Detector, tokens=True),
    "sam3_lite_text": _LITE_TEXT,
}
"""By ``model_type``. Checkpoints of video models hold the image model and parts that it does not have, such
as the memory. transformers names these (``_keys_to_ignore_on_load_unexpected``); they alone may be left."""


REGISTERED = {
    "sam_hq": FAMILIES["sam_hq"],
    "sam2": _SAM2,
    "edge_tam": _EDGETAM,
    "sam3_tracker": _TRACKER,
    "sam3_litetext": _LITE_TEXT,
    "sam3": _SAM3,
    "slim_sam": FAMILIES["sam"],
}
"""How registered names begin, to what serves them; the first that fits. SAM 3's checkpoint (``sam3_video``)
serves ``sam3_tracker`` too."""


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Build the model of a folder (see `adapters.registry.create`); ``random`` needs its ``config.json`` too.

    Raises:
        SambenchError: transformers is missing or too old, nothing is at the place, the model is of a kind not
            served here, or its parameters do not fit it exactly.
    """
    folder, found = locate(name, weights)
    family = _family(folder, name)
    classes = model_classes(family)
    given = {"tokenizer": hf_concepts.load_tokenizer(folder)} if family.tokens else {}
    return family.segmenter(name, *_models(classes, folder, found), found, device, **given)


class ModelOfLibrary(nn.Module):
    """A model of transformers with the names that `adapters.profile` knows its parts by."""

    def __init__(self, model: Any, detector: Any = None) -> None:
        super().__init__()
        self.model = model
        if detector is not None:
            detector.vision_encoder.backbone = model.vision_encoder.backbone
        self.detector = detector
        prompts = getattr(model.config, "prompt_encoder_config", None)
        self.input_size: int = (prompts or model.config).image_size

    @property
    def image_encoder(self) -> nn.Module:
        """Normalised images (B, 3, S, S) to maps."""
        return self.model.vision_encoder


def create_model(name: str) -> ModelOfLibrary:
    """Build a model with random weights, from the ``config.json`` of its folder.

    Raises:
        SambenchError: as `create`.
    """
    folder, found = locate(name, "random")
    return ModelOfLibrary(*_models(model_classes(_family(folder, name)), folder, found))


def locate(name: str, given: str | None) -> tuple[Path, Weights]:
    """Find a model's folder: where the user says, in the weights folder, or in the hub's cache.

    Raises:
        SambenchError: it is nowhere.
    """
    folder = default_path(name)
    if not folder.exists():
        folder = _hub_cache(name) or folder
    if given == "random":
        return folder, resolve(name, given)
    found = resolve(name, given or (str(folder) if folder.exists() else None))
    return Path(str(found.path)), found


def _hub_cache(name: str) -> Path | None:
    """Return the snapshot of ``hf:OWNER/NAME`` that earlier use of the hub has left on this machine."""
    _, _, hub = name.partition(":")
    try:
        snapshot = importlib.import_module("huggingface_hub").snapshot_download(hub, local_files_only=True)
    except (ImportError, OSError, ValueError):  # not installed; not there; no name of a repository
        return None
    return Path(snapshot)


def _family(folder: Path, name: str) -> Family:
    """Tell by ``config.json`` which model a folder holds."""
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise SambenchError(
            f"{name}: no {file}. Give a folder that transformers' save_pretrained wrote, or the hub's files."
        ) from None
    except ValueError as error:
        raise SambenchError(f"{file}: not JSON ({error}). Get the file again.") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in FAMILIES:
        raise SambenchError(
            f"{file}: model_type {kind!r} is not served; {', '.join(FAMILIES)} are."
            + did_you_mean(str(kind), FAMILIES)
        )
    there = FAMILIES[kind]
    own = next((family for prefix, family in REGISTERED.items() if name.startswith(prefix)), there)
    if own not in ((there, _TRACKER) if there == _SAM3 else (there,)):
        raise SambenchError(f"{file}: model_type is {kind!r}, and {name} is a {' and a '.join(own.classes)}.")
    return own


def _models(classes: Sequence[Any], folder: Path, found: Weights) -> list[Any]:
    """Build the models of a folder: loaded, or random."""
    with quiet_and_offline():
        return [
            _random(each, folder, found) if found.path is None else _load(each, folder) for each in classes
        ]


def model_classes(family: Family) -> list[Any]:
    """Import the classes of a family's models."""
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise missing(family.model, error, "hf") from None
    installed, needed = ([int(n) for n in v.split(".")[:2]] for v in (transformers.__version__, family.since))
    if installed < needed:
        raise SambenchError(
            f"transformers {transformers.__version__} does not serve {family.model}; {family.since} is the "
            f"first that does: pip install 'transformers>={family.since}'"
        )
    return [getattr(transformers, name) for name in family.classes]


def _random(model_class: Any, folder: Path, weights: Weights) -> Any:
    """Initialise the architecture of ``config.json`` from a seed."""
    with torch.random.fork_rng(devices=[]), explained(folder, model_class):
        torch.manual_seed(weights.seed or 0)
        return model_class(model_class.config_class.from_pretrained(folder))


def _load(model_class: Any, folder: Path) -> Any:
    """Load a folder strictly: every parameter there, none too many, every shape right."""
    with explained(folder, model_class):
        model, report = model_class.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation="sdpa",
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to be named below, with the other two
        )
    wrong = {
        kind: sorted(map(str, report[f"{kind}_keys"])) for kind in ("missing", "unexpected", "mismatched")
    }
    if any(wrong.values()):
        said = "; ".join(f"{len(keys)} {kind}, first {keys[0]}" for kind, keys in wrong.items() if keys)
        raise SambenchError(
            f"{folder}: its parameters are not those of {model_class.__name__} by its config.json: {said}. "
            "Get config.json and model.safetensors of the same model."
        )
    return model


@contextmanager
def explained(folder: Path, model_class: Any) -> Iterator[None]:
    """Tell a user what of transformers' and safetensors' many errors concerns them."""
    try:
        yield
    except ImportError as error:
        raise missing(f"{folder}: {model_class.__name__}", error, "hf") from None
    except Exception as error:
        raise SambenchError(
            f"{folder}: cannot be read as {model_class.__name__} ({_short(error)}). It takes config.json and "
            "model.safetensors as save_pretrained writes them; get them again."
        ) from None


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


@contextmanager
def quiet_and_offline() -> Iterator[None]:
    """Silence progress bars and remarks on video checkpoints, for what matters is raised; and ask no hub."""
    logging = importlib.import_module("transformers.utils.logging")
    hub: Any = importlib.import_module("huggingface_hub.constants")
    level, bars, offline = logging.get_verbosity(), logging.is_progress_bar_enabled(), hub.HF_HUB_OFFLINE
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = offline
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
