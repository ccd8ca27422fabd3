"""Small models of ultralytics with random weights, and its own predictors."""

import importlib
import importlib.util
from contextlib import contextmanager

import pytest
import tiny_efficient_sam3
import torch

from sambench.adapters.families import ultralytics_models, ultralytics_sam
from tests.conftest import missing
from tests.golden import golden

SIDE = 256
"""Of the inputs, where the real models have 1024."""


@contextmanager
def imported():
    """ultralytics, with inputs of `SIDE` for FastSAM."""
    for package in ("ultralytics", "torchvision"):
        if importlib.util.find_spec(package) is None:
            missing(f"{package} is not installed: pip install 'sambench[yolo]'")
    with pytest.MonkeyPatch.context() as patch:
        # its predictors set the number of threads, and with it the rounding that is compared here
        patch.setattr(torch, "set_num_threads", lambda n: None)
        patch.setattr(ultralytics_models, "FAST_SAM_SIDE", SIDE)
        yield ultralytics_sam.import_ultralytics()


def predictor(library, kind, **options):
    """A predictor of ultralytics, with what its ``predict`` sets."""
    with ultralytics_sam._contained():
        module = importlib.import_module(f"ultralytics.models.{kind[0]}")
    options |= {"save": False, "verbose": False, "device": "cpu", "mode": "predict", "rect": True}
    return getattr(module, kind[1])(overrides=options)


def save_fast_sam(library, folder):
    """FastSAM-s, a YOLOv8s-seg of one class, as a checkpoint; it finds a hundred instances in any image."""
    torch.manual_seed(0)
    model = library.nn.tasks.SegmentationModel("yolov8s-seg.yaml", nc=1, verbose=False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    pixels = torch.from_numpy(golden.make_image(192, SIDE)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        model.train()(pixels)  # so that every map has the scale of a trained model's
        head = model.model[-1]
        for boxes, scores, masks in zip(head.cv2, head.cv3, head.cv4, strict=True):
            boxes[-1].weight.normal_(0, 0.3)
            scores[-1].weight.normal_(0, 0.1)
            scores[-1].bias.fill_(-2)
            masks[-1].weight.normal_(0, 0.3)
    path = folder / "FastSAM-s.pt"
    torch.save({"model": model.eval(), "ema": None, "train_args": {"imgsz": 1024}}, path)
    return path


def small_sam2(library):
    """SAM 2 with a small encoder for inputs of 256 x 256."""
    model = library.models.sam.build._build_sam2(
        encoder_embed_dim=16,
        encoder_stages=[1, 2, 2, 1],
        encoder_num_heads=1,
        encoder_global_att_blocks=[4],
        encoder_backbone_channel_list=[128, 64, 32, 16],
        encoder_window_spec=[8, 4, 14, 7],
    )
    model.set_imgsz((SIDE, SIDE))
    return model


SIDE3 = 112
"""Of SAM 3's input, where the real ones have 1008: 8 x 8 patches. Its predictor takes multiples of 14."""


def small_sam3(library):
    """SAM 3's image model of all its own parts, in small; its builder has no sizes."""
    vit = importlib.import_module(f"{library.models.sam.__name__}.sam3.vitdet").ViT(
        **{"img_size": SIDE3, "pretrain_img_size": SIDE3 // 2, "patch_size": 14, "window_size": 4},
        **{"embed_dim": 32, "depth": 2, "num_heads": 2, "mlp_ratio": 2.0, "global_att_blocks": (1,)},
        **{"norm_layer": "LayerNorm", "use_abs_pos": True, "tile_abs_pos": True, "rel_pos_blocks": ()},
        **{"use_rope": True, "use_interp_rope": True, "pretrain_use_cls_token": True, "ln_pre": True},
        **{"retain_cls_token": False, "return_interm_layers": False, "bias_patch_embed": False},
    )
    return tiny_efficient_sam3.Detector(vit).model.eval()
