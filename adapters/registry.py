"""Which models there are. Nothing heavy is imported until one of them is created."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sambench.adapters import engines, plugins
from sambench.adapters.plugins import AdapterSpec
from sambench.adapters.weights.upstream import upstreams
from sambench.evsam.errors import SambenchError, did_you_mean

if TYPE_CHECKING:
    import torch

    from sambench.adapters.base import Segmenter


@dataclass(frozen=True)
class Entry:
    """One model by name."""

    target: str
    """``module:function``, called with the model's name and the keywords ``weights`` and ``device``."""
    title: str
    """As the paper's tables print it."""
    source: str
    """Whose model it is. Whose weights: `adapters.weights.upstream`."""
    libraries: tuple[str, ...] = ()
    """The distributions whose code computes it, where that is not sambench alone; they decide numbers."""
    plugin: bool = False
    """Whether it comes from outside; it then says itself what its weights are."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further keyword arguments of the target, where the user gave some."""


_EFFICIENTVIT = "github.com/mit-han-lab/efficientvit, arXiv 2402.05008"
_SAM = "github.com/facebookresearch/segment-anything, arXiv 2304.02643"
_MOBILE_SAM = "github.com/ChaoningZhang/MobileSAM, arXiv 2306.14289"
_EDGE_SAM = "github.com/chongzhou96/EdgeSAM, arXiv 2312.06660"
_SAM_HQ = "github.com/SysCV/sam-hq, arXiv 2306.01567"
_SAM2 = "github.com/facebookresearch/sam2, arXiv 2408.00714"
_HIERA = {"tiny": "T", "small": "S", "base_plus": "B+", "large": "L"}
_SLIM_SAM = "github.com/czg1225/SlimSAM, arXiv 2312.05284"
_HF = ("transformers", "timm")  # timm is EdgeTAM's encoder
_TRANSFORMERS = "github.com/huggingface/transformers"
_ULTRALYTICS = "github.com/ultralytics/ultralytics"
_TINY_SAM = "github.com/xinghaochen/TinySAM, arXiv 2312.13789"
_REPVIT_SAM = "github.com/THU-MIG/RepViT, arXiv 2312.05760"
_EFFICIENT_SAM = "github.com/yformer/EfficientSAM, arXiv 2312.00863"


def _family(module: str, attribute: str = "create") -> str:
    return f"sambench.adapters.families.{module}:{attribute}"


def _hf(title: str, source: str) -> Entry:
    return Entry(_family("hf"), title, source, _HF)


def _fast_sam(size: str) -> Entry:
    source = "github.com/CASIA-LMC-Lab/FastSAM, arXiv 2306.12156"
    return Entry(_family("ultralytics_sam"), f"FastSAM-{size}", source, ("ultralytics",))


def _baseline(kind: str, source: str) -> Entry:
    return Entry(_family("baselines", kind), f"{kind} (baseline)", source)


REGISTRY: dict[str, Entry] = {
    **{f"sam_vit_{v}": Entry(_family("sam_vit"), f"SAM-ViT-{v.upper()}", _SAM) for v in ("b", "l", "h")},
    "mobile_sam": Entry(_family("mobile_sam"), "MobileSAM", _MOBILE_SAM),
    "tiny_sam": Entry(_family("tiny_sam"), "TinySAM", _TINY_SAM),
    "edge_sam": Entry(_family("edge_sam"), "EdgeSAM", _EDGE_SAM),
    "edge_sam_3x": Entry(_family("edge_sam"), "EdgeSAM-3x", _EDGE_SAM),
    "repvit_sam": Entry(_family("repvit_sam"), "RepViT-SAM", _REPVIT_SAM),
    "efficient_sam_ti": Entry(_family("efficient_sam"), "EfficientSAM-Ti", _EFFICIENT_SAM),
    "efficient_sam_s": Entry(_family("efficient_sam"), "EfficientSAM-S", _EFFICIENT_SAM),
    **{
        f"efficientvit_sam_{v}": Entry(
            _family("efficientvit_sam"),
            f"EfficientViT-SAM-{v.upper()}",
            _EFFICIENTVIT,
        )
        for v in ("l0", "l1", "l2", "xl0", "xl1")
    },
    **{f"sam_hq_vit_{v}": _hf(f"SAM-HQ-ViT-{v.upper()}", _SAM_HQ) for v in ("b", "l", "h")},
    **{f"sam2_hiera_{size}": _hf(f"SAM 2 Hiera-{t}", _SAM2) for size, t in _HIERA.items()},
    **{f"sam2_1_hiera_{size}": _hf(f"SAM 2.1 Hiera-{t}", _SAM2) for size, t in _HIERA.items()},
    "edge_tam": _hf("EdgeTAM", "github.com/facebookresearch/EdgeTAM, arXiv 2501.07256"),
    "sam3_tracker": _hf("SAM 3 (tracker)", "github.com/facebookresearch/sam3, arXiv 2511.16719"),
    **{f"slim_sam_{v}": _hf(f"SlimSAM-{v}", _SLIM_SAM) for v in ("50", "77")},
    **{f"fast_sam_{size}": _fast_sam(size) for size in ("s", "x")},
    "box": _baseline("Box", "the filled box; discs at points"),
    "ellipse": _baseline("Ellipse", "the ellipse in the box; the ellipse of the points' spread"),
    "grabcut": _baseline("GrabCut", "OpenCV; Rother et al., SIGGRAPH 2004"),
}
"""The models that come with sambench, in the order of tables."""

LIBRARIES: dict[str, Entry] = {
    "hf": Entry(_family("hf"), "", _TRANSFORMERS, _HF),
    "ultralytics": Entry(_family("ultralytics_sam"), "", _ULTRALYTICS, ("ultralytics",)),
}
"""Models of libraries by ``hf:FOLDER_OR_HUB_ID`` and ``ultralytics:FILE``."""

_added: dict[str, Entry] = {}


def known() -> Mapping[str, Entry]:
    """Return all models: those that come with sambench, those of installed packages, those added."""
    packages = {
        name: Entry(target, name, f"installed package {package}", (package,), plugin=True)
        for name, (target, package) in plugins.announced().items()
        if name not in REGISTRY  # a package cannot stand in for a model of the paper
    }
    return REGISTRY | packages | _added


def add(given: str | Mapping[str, Any] | AdapterSpec) -> str:
    """Add a model of the user's own (see `plugins.parse_adapter`), and return its name.

    Raises:
        SambenchError: file, class or options are wrong, or another model has that name.
    """
    spec = given if isinstance(given, AdapterSpec) else plugins.parse_adapter(given)
    added = Entry(spec.target, spec.name, spec.target.rpartition(":")[0], plugin=True, options=spec.options)
    if known().get(spec.name, added) != added:
        raise SambenchError(
            f"adapter {spec.target}: there is a model {spec.name!r} already. Name this one otherwise: "
            f"NAME={spec.target}."
        )
    plugins.check_options(spec)
    _added[spec.name] = added
    return spec.name


def entry(name: str) -> Entry:
    """Return a model's entry.

    Raises:
        SambenchError: there is none of that name; the message names the nearest.
    """
    models = known()
    if name in models:
        return models[name]
    library, colon, which = name.partition(":")
    if colon and which and library in LIBRARIES:
        title = "/".join(which.rstrip("/").split("/")[-2:])
        return dataclasses.replace(LIBRARIES[library], title=title)
    raise SambenchError(
        f"no model {name!r}.{did_you_mean(name, models)} 'sambench models' lists all {len(models)}; "
        f"{' and '.join(f'{p}:...' for p in LIBRARIES)} name those of libraries."
    )


def has_parameters(name: str) -> bool:
    """Tell whether a model of ours has weights to give it; those from outside say themselves."""
    return entry(name).plugin or ":" in name or name in upstreams()


def create(
    name: str,
    *,
    weights: str | None = None,
    device: str = "cpu",
    engine: str = "eager",
    precision: str = "fp32",
) -> Segmenter:
    """Create a segmenter by name.

    Args:
        name: of a model of `known`, or ``hf:...`` or ``ultralytics:...``.
        weights: path of an official checkpoint; ``"random"`` for a seeded random initialisation, marked as
            such in every result; ``None`` for the registered file in the weights folder.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        engine: what runs the model, and ...
        precision: ... what it computes in (`adapters.engines.ENGINES`).

    Raises:
        SambenchError: unknown name, engine, precision or device, or weights that are missing or wrong.
    """
    found = entry(name)
    where = check_device(device)
    engines.check(engine, precision, where.type)
    if weights is not None and not has_parameters(name):
        raise SambenchError(f"{name} has no parameters: leave its weights ({weights!r}) out.")
    _allow_tf32(precision == "tf32")
    segmenter: Segmenter = plugins.load(found.target)(name, weights=weights, device=where, **found.options)
    return engines.attach(segmenter, engine, precision)


def _allow_tf32(allowed: bool) -> None:
    """Let CUDA round the factors of fp32 products to TF32, or not: torch has one switch for the process."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def check_device(name: str) -> torch.device:
    """Return a device that this machine has.

    Raises:
        SambenchError: it has not.
    """
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        raise SambenchError(f"no device {name!r}; say cpu, cuda or cuda:1.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SambenchError(
            f"device {name!r}: this machine has no CUDA device that torch can use. Say --device cpu."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SambenchError(f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices.")
    if device.type not in ("cpu", "cuda"):
        raise SambenchError(f"device {name!r} is not supported; say cpu or cuda.")
    return device
