"""The models that come with sambench: one line each, in the order of tables. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
_SAM3 = "github.com/facebookresearch/sam3, arXiv 2511.16719"
_LITE_TEXT = "github.com/SimonZeng7108/efficientsam3, arXiv 2602.12173"
_EFFICIENT_SAM3 = "github.com/SimonZeng7108/efficientsam3, arXiv 2511.15833"
_EFFICIENT_TAM = "github.com/yformer/EfficientTAM, arXiv 2411.18933"
_STUDENTS = {"repvit": "RV", "tinyvit": "TV", "efficientvit": "EV"}
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


def _efficient_sam3(title: str) -> Entry:
    return Entry(_family("efficient_sam3"), f"EfficientSAM3 {title}", _EFFICIENT_SAM3, ("transformers",))


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
    **{
        f"efficientvit_sam_{v}": Entry(
            _family("efficientvit_sam"),
            f"EfficientViT-SAM-{v} (ours)",
            "trained by sambench on its own drawings, not in the paper (docs/training.md)",
        )
        for v in ("nano", "pico")
    },
    **{f"sam_hq_vit_{v}": _hf(f"SAM-HQ-ViT-{v.upper()}", _SAM_HQ) for v in ("b", "l", "h")},
    **{f"sam2_hiera_{size}": _hf(f"SAM 2 Hiera-{t}", _SAM2) for size, t in _HIERA.items()},
    **{f"sam2_1_hiera_{size}": _hf(f"SAM 2.1 Hiera-{t}", _SAM2) for size, t in _HIERA.items()},
    "edge_tam": _hf("EdgeTAM", "github.com/facebookresearch/EdgeTAM, arXiv 2501.07256"),
    **{
        f"efficient_tam_{size}{memory}": Entry(
            _family("efficient_tam"),
            f"EfficientTAM-{size.capitalize()}{memory.replace('_', '/')}",
            _EFFICIENT_TAM,
            ("transformers",),
        )
        for size in ("ti", "s")
        for memory in ("", "_2")
    },
    "sam3": _hf("SAM 3", _SAM3),
    "sam3_tracker": _hf("SAM 3 (tracker)", _SAM3),
    **{
        f"sam3_litetext_{size}": _hf(f"SAM3-LiteText-{size.upper()}", _LITE_TEXT)
        for size in ("s0", "s1", "l")
    },
    **{
        f"efficient_sam3_{student}_{size}": _efficient_sam3(f"ES-{short}-{size.upper()}")
        for student, short in _STUDENTS.items()
        for size in ("s", "m", "l")
    },
    **{
        f"efficient_sam3_{student}_m_ft": _efficient_sam3(f"ES-{short}-M, fine-tuned")
        for student, short in _STUDENTS.items()
    },
    **{f"slim_sam_{v}": _hf(f"SlimSAM-{v}", _SLIM_SAM) for v in ("50", "77")},
    **{f"fast_sam_{size}": _fast_sam(size) for size in ("s", "x")},
    "box": _baseline("Box", "the filled box; discs at points"),
    "ellipse": _baseline("Ellipse", "the ellipse in the box; the ellipse of the points' spread"),
    "grabcut": _baseline("GrabCut", "OpenCV; Rother et al., SIGGRAPH 2004"),
}
"""The models that come with sambench, in the order of tables."""

_GROUNDING_DINO = "github.com/IDEA-Research/GroundingDINO, arXiv 2303.05499"
_MM_GROUNDING_DINO = "github.com/open-mmlab/mmdetection, arXiv 2401.02361"
_LLM_DET = "github.com/iSEE-Laboratory/LLMDet, arXiv 2501.18954"
_OWL_V2 = "github.com/google-research/scenic, arXiv 2306.09683"
_OWL_V2_TARGET = "sambench.adapters.detectors.owlv2:create"


@dataclass(frozen=True)
class PhraseEntry:
    """A detector that finds what a phrase names: the first half of ``DETECTOR+SEGMENTER``."""

    hub: str
    """The repository that has its weights; they are looked for in the weights folder, under this name."""
    title: str
    source: str
    target: str = "sambench.adapters.detectors.grounding_phrases:create"
    """``module:function``, called with its name and the keywords ``weights`` and ``device``."""
    libraries: tuple[str, ...] = ("transformers",)

    @property
    def folder(self) -> str:
        """Its folder within the weights folder, named as `adapters.weights.upstream` names those."""
        return self.hub.replace("/", "--")


PHRASE_DETECTORS: dict[str, PhraseEntry] = {
    "grounding_dino_t": PhraseEntry("IDEA-Research/grounding-dino-tiny", "Grounding DINO-T", _GROUNDING_DINO),
    "grounding_dino_b": PhraseEntry("IDEA-Research/grounding-dino-base", "Grounding DINO-B", _GROUNDING_DINO),
    "mm_grounding_dino_t": PhraseEntry(
        "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_grit_v3det",
        "MM Grounding DINO-T",
        _MM_GROUNDING_DINO,
    ),
    "mm_grounding_dino_b": PhraseEntry(
        "openmmlab-community/mm_grounding_dino_base_all", "MM Grounding DINO-B", _MM_GROUNDING_DINO
    ),
    "mm_grounding_dino_l": PhraseEntry(
        "openmmlab-community/mm_grounding_dino_large_all", "MM Grounding DINO-L", _MM_GROUNDING_DINO
    ),
    "llmdet_t": PhraseEntry("iSEE-Laboratory/llmdet_tiny", "LLMDet-T", _LLM_DET),
    "llmdet_b": PhraseEntry("iSEE-Laboratory/llmdet_base", "LLMDet-B", _LLM_DET),
    "llmdet_l": PhraseEntry("iSEE-Laboratory/llmdet_large", "LLMDet-L", _LLM_DET),
    "owlv2_b": PhraseEntry("google/owlv2-base-patch16-ensemble", "OWLv2-B", _OWL_V2, _OWL_V2_TARGET),
    "owlv2_l": PhraseEntry("google/owlv2-large-patch14-ensemble", "OWLv2-L", _OWL_V2, _OWL_V2_TARGET),
}
"""What makes of any segmenter that takes boxes one that takes phrases: ``llmdet_l+efficientvit_sam_l0``."""


def parts_of(name: str) -> tuple[str, ...]:
    """Return detector and segmenter of ``DETECTOR+SEGMENTER``; nothing of a model that has no parts."""
    detector, plus, segmenter = name.partition("+")
    return (detector, segmenter) if plus and segmenter and detector in PHRASE_DETECTORS else ()


LIBRARIES: dict[str, Entry] = {
    "hf": Entry(_family("hf"), "", _TRANSFORMERS, _HF),
    "ultralytics": Entry(_family("ultralytics_sam"), "", _ULTRALYTICS, ("ultralytics",)),
}
"""Models of libraries by ``hf:FOLDER_OR_HUB_ID`` and ``ultralytics:FILE``."""
