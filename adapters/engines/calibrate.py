"""int8 encoders: the float32 graph with quantisation written into it, calibrated on real images.

One file (QuantizeLinear and DequantizeLinear around what is quantised) serves all runtimes. Quantised are
convolutions, linear layers, and nothing else: the linear attention's products, norms and residuals stay
float32, and so does the decoder, which is another graph.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sambench.adapters import images as images_package
from sambench.adapters.engines.cache import cached
from sambench.adapters.engines.export import LARGEST_INSIDE, need_onnx
from sambench.adapters.extras import missing
from sambench.adapters.families.sam import SamSegmenter
from sambench.adapters.images import read_image
from sambench.adapters.weights.resolve import sha256_of
from sambench.evsam.errors import SambenchError

VARIABLE = "SAMBENCH_CALIBRATION"
"""Names the folder of images."""

MOST_IMAGES = 32
"""Images that ranges are taken from, the first by name; they stand still well before."""

SUFFIXES = (".jpg", ".jpeg", ".png")

READER = sorted(Path(images_package.__file__).parent.glob("*.py"))
"""The code that makes pixels of a file."""

LAYERS = ("Conv", "Gemm", "MatMul")
"""Operations that are quantised, where one of their factors is a weight."""


def images() -> list[Path]:
    """Return the images to calibrate on.

    Raises:
        SambenchError: the user named no folder, or one without images.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        raise SambenchError(
            f"precision int8: the encoder is calibrated on real images; none are named. Set {VARIABLE} to a "
            f"folder of some ({MOST_IMAGES} are enough), such as those of COCO's training set."
        )
    folder = Path(named).expanduser()
    found = sorted(f for f in folder.glob("*") if f.suffix.lower() in SUFFIXES)[:MOST_IMAGES]
    if not found:
        raise SambenchError(
            f"precision int8: {VARIABLE} names {folder}, where there are no images ({', '.join(SUFFIXES)})."
        )
    return found


def calibrated_on(precision: str) -> list[str]:
    """Return the SHA-256 of the images that a precision's numbers depend on: of int8 alone there are any."""
    return [sha256_of(image) for image in images()] if precision == "int8" else []


def quantised(segmenter: SamSegmenter, file: Path) -> Path:
    """Return the int8 file of an encoder, made of its float32 file where the cache has none.

    Args:
        segmenter: prepares the images.
        file: ONNX of its encoder, an entry of the cache.

    Raises:
        SambenchError: no images to calibrate on, a damaged one, or what quantises is not installed.
    """
    chosen = images()
    need_onnx()
    try:
        import onnxruntime
    except ImportError as error:
        raise missing("precision int8", error, "onnx") from None
    key = {
        "float32": sha256_of(file),
        "images": calibrated_on("int8"),
        "code": [sha256_of(module) for module in (Path(__file__), *READER)],
        "onnxruntime": onnxruntime.__version__,
    }
    folder = cached(
        f"onnx-{segmenter.name}-encoder-int8",
        key,
        lambda to: quantise(segmenter, file, chosen, to / "model.onnx"),
    )
    return folder / "model.onnx"


def quantise(segmenter: SamSegmenter, file: Path, chosen: list[Path], out: Path) -> None:
    """Write the int8 form of a float32 encoder to ``out``, which may be the same file.

    Weights have a scale a channel, activations one a tensor. Both are symmetric around zero, and biases stay
    float32, for TensorRT takes nothing else.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    large = sum(f.stat().st_size for f in file.parent.glob(f"{file.name}*")) > LARGEST_INSIDE
    folded = out.with_name("folded.onnx")
    quant_pre_process(file, folded, skip_symbolic_shape=True, save_as_external_data=large)
    quantize_static(
        folded,
        out,
        _Images(segmenter, chosen),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(LAYERS),
        nodes_to_exclude=_without_weights(folded),
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        use_external_data_format=large,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    )
    for left in out.parent.glob("folded.onnx*"):
        left.unlink()


class _Images:
    """What `quantize_static` reads its inputs from."""

    def __init__(self, segmenter: SamSegmenter, chosen: list[Path]) -> None:
        self._inputs = _inputs(segmenter, chosen)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input, or none."""
        return next(self._inputs, None)


def _inputs(segmenter: SamSegmenter, chosen: list[Path]) -> Iterator[dict[str, np.ndarray]]:
    for file in chosen:
        yield {"pixels": segmenter.prepare(read_image(file)).pixels[None].numpy()}


def _without_weights(file: Path) -> list[str]:
    """Names of the products of two activations, which are an attention's."""
    import onnx

    graph: Any = onnx.load(file, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    return [node.name for node in products if not weights.intersection(node.input)]
