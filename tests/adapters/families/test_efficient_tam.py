"""EfficientTAM: its parts put together of ultralytics' SAM 2 and of plain operations are the oracle."""

import importlib

import pytest
import tiny_hf
import tiny_ultralytics
import torch
import torch.nn.functional as F

from sambench.adapters.base import Prompts, Weights
from sambench.adapters.families import efficient_tam
from sambench.adapters.modules.neck import sam_neck
from sambench.adapters.modules.plain_vit import PlainViT
from sambench.evsam import geometry
from sambench.evsam.errors import SambenchError
from tests.golden import golden

NAME = "efficient_tam_ti"
SIZE = (90, 141)
SIDE, WIDTH, PATCH = tiny_hf.SIDE, tiny_hf.WIDTH, tiny_hf.PATCH
DIM, HEADS, DEPTH, WINDOWED, WINDOW = 32, 2, 3, (0, 2), 3  # 8 x 8 tokens are no whole number of windows

BOXES = torch.tensor([[10.0, 12, 100.5, 70], [60, 5.25, 90, 88]])
POINTS = torch.tensor([[[30.0, 40], [100, 20]], [[70, 45.5], [20, 80]]])
LABELS = torch.tensor([[1, 0], [1, 1]])


def network():
    vit = PlainViT(dim=DIM, heads=HEADS, depth=DEPTH, windowed=WINDOWED, window=WINDOW)
    vit.neck = sam_neck(DIM, WIDTH)
    vision = tiny_hf.CONFIGS["sam2"](importlib.import_module("transformers")).vision_config
    config = {
        "vision_config": vision,
        "prompt_encoder_config": tiny_hf.PROMPT,
        "mask_decoder_config": tiny_hf.DECODER,
    }
    return efficient_tam.build(vit, config)


class Theirs(torch.nn.Module):
    """Heads of ultralytics, and the ViT's parameters under the names of EfficientTAM's checkpoints."""

    def __init__(self):
        from ultralytics.models.sam.modules.decoders import SAM2MaskDecoder
        from ultralytics.models.sam.modules.encoders import PromptEncoder
        from ultralytics.models.sam.modules.transformer import TwoWayTransformer

        super().__init__()
        self.no_mem_embed = torch.nn.Parameter(torch.zeros(1, 1, WIDTH))
        grid = SIDE // PATCH
        self.sam_prompt_encoder = PromptEncoder(
            WIDTH, (grid, grid), (SIDE, SIDE), tiny_hf.PROMPT["mask_input_channels"]
        )
        decoder = tiny_hf.DECODER
        transformer = TwoWayTransformer(
            depth=2, embedding_dim=WIDTH, mlp_dim=decoder["mlp_dim"], num_heads=decoder["num_attention_heads"]
        )
        self.sam_mask_decoder = SAM2MaskDecoder(
            WIDTH, transformer, iou_head_hidden_dim=decoder["iou_head_hidden_dim"],
            use_high_res_features=False, iou_prediction_use_sigmoid=True,
            dynamic_multimask_via_stability=True, pred_obj_scores=True, pred_obj_scores_mlp=True,
            use_multimask_token_for_obj_ptr=True,
        )  # fmt: skip

    def decode(self, embedding, points, labels, masks=None, multimask=True):
        prompts = self.sam_prompt_encoder
        sparse, dense = prompts((points, labels), None, masks)
        logits, iou, *_ = self.sam_mask_decoder(
            image_embeddings=embedding + self.no_mem_embed.reshape(1, -1, 1, 1),
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            repeat_image=True,
        )
        return logits, iou


def trunk_shapes():
    shapes = {
        "trunk.patch_embed.proj.weight": (DIM, 3, PATCH, PATCH),
        "trunk.patch_embed.proj.bias": (DIM,),
        "trunk.pos_embed": (1, 197, DIM),
        "neck.convs.0.conv_1x1.weight": (WIDTH, DIM, 1, 1),
        "neck.convs.0.conv_3x3.weight": (WIDTH, WIDTH, 3, 3),
    }
    for norm in ("norm_0", "norm_1"):
        shapes |= {f"neck.convs.0.{norm}.{kind}": (WIDTH,) for kind in ("weight", "bias")}
    for i in range(DEPTH):
        for norm in ("norm1", "norm2"):
            shapes |= {f"trunk.blocks.{i}.{norm}.{kind}": (DIM,) for kind in ("weight", "bias")}
        for layer, rows, columns in (
            ("attn.qkv", 3 * DIM, DIM),
            ("attn.proj", DIM, DIM),
            ("mlp.layers.0", 4 * DIM, DIM),
            ("mlp.layers.1", DIM, 4 * DIM),
        ):
            shapes[f"trunk.blocks.{i}.{layer}.weight"] = (rows, columns)
            shapes[f"trunk.blocks.{i}.{layer}.bias"] = (rows,)
    return shapes


def drawn(shapes):
    generator = torch.Generator().manual_seed(2)
    for key, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            yield key, 0.1 * noise + (1 if key.endswith("weight") else 0)
        else:
            yield key, noise / noise[0].numel() ** 0.5


def encoded(state, pixels):
    """``vitdet.py`` and ``ViTDetNeck`` by plain operations, on one image (1, 3, S, S): (1, WIDTH, h, w)."""
    p = {key.removeprefix("image_encoder."): value for key, value in state.items()}
    x = F.conv2d(pixels, p["trunk.patch_embed.proj.weight"], p["trunk.patch_embed.proj.bias"], stride=PATCH)
    position = p["trunk.pos_embed"][:, 1:].reshape(1, 14, 14, DIM).permute(0, 3, 1, 2)
    x = x + F.interpolate(position, x.shape[-2:], mode="bicubic", align_corners=False)
    x = x[0].permute(1, 2, 0)  # (h, w, DIM)
    for i in range(DEPTH):
        b = {
            k.removeprefix(f"trunk.blocks.{i}."): v
            for k, v in p.items()
            if k.startswith(f"trunk.blocks.{i}.")
        }
        y = F.layer_norm(x, (DIM,), b["norm1.weight"], b["norm1.bias"], 1e-6)
        x = x + (windows(y, b) if i in WINDOWED else attended(y, b))
        y = F.layer_norm(x, (DIM,), b["norm2.weight"], b["norm2.bias"], 1e-6)
        y = F.gelu(F.linear(y, b["mlp.layers.0.weight"], b["mlp.layers.0.bias"]))
        x = x + F.linear(y, b["mlp.layers.1.weight"], b["mlp.layers.1.bias"])
    x = x.permute(2, 0, 1)[None]
    for conv, norm, padding in (("conv_1x1", "norm_0", 0), ("conv_3x3", "norm_1", 1)):
        x = F.conv2d(x, p[f"neck.convs.0.{conv}.weight"], padding=padding).permute(0, 2, 3, 1)
        weight, bias = (p[f"neck.convs.0.{norm}.{kind}"] for kind in ("weight", "bias"))
        x = F.layer_norm(x, (WIDTH,), weight, bias, 1e-6).permute(0, 3, 1, 2)
    return x


def attended(x, b):
    """Attend over a map (h, w, DIM), head by head."""
    qkv = F.linear(x.flatten(0, 1), b["attn.qkv.weight"], b["attn.qkv.bias"])
    heads = [part.split(DIM // HEADS, dim=1) for part in qkv.split(DIM, dim=1)]
    scale = (DIM // HEADS) ** -0.5
    out = [(q @ k.T * scale).softmax(1) @ v for q, k, v in zip(*heads, strict=True)]
    return F.linear(torch.cat(out, dim=1), b["attn.proj.weight"], b["attn.proj.bias"]).view(x.shape)


def windows(x, b):
    """Attend in windows, zeros beyond the image's end among them."""
    height, width = x.shape[:2]
    padded = torch.zeros(-(-height // WINDOW) * WINDOW, -(-width // WINDOW) * WINDOW, DIM)
    padded[:height, :width] = x
    for row in range(0, padded.shape[0], WINDOW):
        for column in range(0, padded.shape[1], WINDOW):
            part = slice(row, row + WINDOW), slice(column, column + WINDOW)
            padded[part] = attended(padded[part], b)
    return padded[:height, :width]


@pytest.fixture(scope="module")
def theirs():
    with tiny_ultralytics.imported():
        heads = Theirs()
    state = dict(drawn({key: tuple(value.shape) for key, value in heads.state_dict().items()}))
    heads.load_state_dict(state)
    state |= {f"image_encoder.{key}": value for key, value in drawn(trunk_shapes())}
    return heads.eval(), state


@pytest.fixture(scope="module")
def checkpoint(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "efficienttam.pt"
    memory = (
        "memory_attention.norm.weight",
        "memory_encoder.out_proj.bias",
        "maskmem_tpos_enc",
        "no_obj_ptr",
    )
    torch.save({"model": theirs[1] | {key: torch.zeros(2) for key in memory}}, path)
    return path


@pytest.fixture(scope="module")
def segmenter(checkpoint):
    found = Weights("file", path=str(checkpoint))
    return efficient_tam.segmenter(NAME, network(), found, torch.device("cpu"))


@pytest.fixture(scope="module")
def image():
    return golden.make_image(*SIZE)


def close(a, b):
    assert a.shape == b.shape
    return float((a - b).norm()) <= 3e-5 * float(b.norm())


@pytest.mark.parametrize("multimask", [True, False])
@torch.inference_mode()
def test_masks_are_those_of_the_authors_parts(segmenter, theirs, image, multimask):
    heads, state = theirs
    maps = encoded(state, segmenter.prepare(image).pixels[None])
    (embedding,) = segmenter.encode([image])
    earlier = torch.randn(2, 1, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(3))
    points, box = segmenter.to_frame(POINTS, SIZE), segmenter.to_frame(BOXES.reshape(-1, 2, 2), SIZE)
    corners = torch.tensor([[2, 3]]).expand(2, -1)
    for prompts, given in (
        (Prompts(points=POINTS, labels=LABELS), (points, LABELS)),
        (Prompts(boxes=BOXES), (box, corners)),
        (Prompts(points=POINTS, labels=LABELS, masks=earlier), (points, LABELS, earlier)),
    ):
        logits, iou = heads.decode(maps, *given, multimask=multimask)
        got = segmenter.decode(embedding, prompts, multimask=multimask)
        assert close(got.logits, logits)
        assert close(got.iou, iou)


def test_pixels_are_normalised_as_imagenets(segmenter):
    grey = golden.make_image(SIDE, SIDE)
    want = (torch.from_numpy(grey) / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    assert (segmenter.prepare(grey).pixels - want.permute(2, 0, 1)).abs().max() < 1e-5
    assert segmenter.side == SIDE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("no_mem_embed"), "1 missing keys, first no_mem_embed; 0 unexpected"),
        (
            lambda s: s.update({"sam_mask_decoder.conv_s0.weight": torch.zeros(1)}),
            "first sam_mask_decoder.conv_s0",
        ),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(theirs, change, message, tmp_path):
    state = dict(theirs[1])
    change(state)
    torch.save({"model": state}, tmp_path / "changed.pt")
    with pytest.raises(SambenchError, match=message):
        efficient_tam.segmenter(
            NAME, network(), Weights("file", path=str(tmp_path / "changed.pt")), torch.device("cpu")
        )


@pytest.mark.parametrize("name", efficient_tam.VARIANTS)
def test_a_variant_has_the_sizes_of_its_configuration(name):
    with torch.device("meta"):
        model = efficient_tam.create_model(name)
    encoder = model.image_encoder
    assert (encoder.patch_embed.proj.out_channels, encoder.blocks[0].attn.heads) == (
        (192, 3) if "_ti" in name else (384, 6)
    )
    assert [i for i, block in enumerate(encoder.blocks) if block.window is None] == [2, 5, 8, 11]
    assert {block.window for block in encoder.blocks} == {None, 14}
    assert model.input_size == 1024
    assert efficient_tam.EfficientTam.pixel_mean == geometry.PIXEL_MEAN


def test_another_name_is_an_error_that_names_the_nearest():
    with pytest.raises(SambenchError, match="Did you mean 'efficient_tam_ti'"):
        efficient_tam.create_model("efficient_tam_t")
