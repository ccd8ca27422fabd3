"""Ways to attend with SAM's relative positions, side by side.

    python -m benchmarks.attention                    # ViT-B and ViT-H, one image, on the CPU
    python -m benchmarks.attention --device cuda --batch 8

What a query adds to a score is a number for the key's row and a number for its column. The ways differ in how
these reach the scores (`WAYS`); the projections, and the products that make the numbers, are the same for all
and stay out. Ways take turns, so that a noisy machine disturbs them alike; a ratio is the median over turns.
Results go to ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from benchmarks.suites import RESULTS
from sambench.adapters.devices import check_device
from sambench.adapters.families.sam_vit import VARIANTS
from sambench.adapters.modules.vit import GRID, WINDOW, attend
from sambench.evsam.memory import keep_freed_memory
from sambench.harness.provenance import device_name, git_state, versions


def textbook(q: Tensor, k: Tensor, v: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    """Every step written down; arguments and result as of `adapters.modules.vit.attend`."""
    scores = q @ k.transpose(-2, -1) + position(by_row, by_column)
    return merge_heads(scores.softmax(dim=-1) @ v)


def whole(q: Tensor, k: Tensor, v: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    """The fused kernel, with the position of all scores written out first."""
    mask = position(by_row, by_column)
    return merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0))


def folded(q: Tensor, k: Tensor, v: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    """The fused kernel, with the position as more dimensions of the heads: never written out.

    Keys say in one-hot form which row and which column is theirs, and the product with the queries'
    numbers looks those up. On a CPU the fused kernel wants values of the same dimension; where they
    differ torch takes the path of explicit products without a word.
    """
    h, w = by_row.shape[-1], by_column.shape[-1]
    row = torch.eye(h, device=q.device).repeat_interleave(w, dim=0)
    column = torch.eye(w, device=q.device).repeat(h, 1)
    where = torch.cat([row, column], dim=-1).expand(*k.shape[:2], -1, -1)  # (B, heads, H W, H + W)
    wide_q = torch.cat([q, by_row, by_column], dim=-1)
    wide_v = F.pad(v, (0, h + w))
    out = F.scaled_dot_product_attention(wide_q, torch.cat([k, where], dim=-1), wide_v, scale=1.0)
    return merge_heads(out[..., : v.shape[-1]])


def position(by_row: Tensor, by_column: Tensor) -> Tensor:
    """What the position adds to every score, (B, heads, H W, H W)."""
    return (by_row[..., :, None] + by_column[..., None, :]).flatten(3)


def merge_heads(x: Tensor) -> Tensor:
    """Reshape (B, heads, H W, d) to (B, H W, heads d)."""
    return x.transpose(1, 2).flatten(2)


WAYS: dict[str, Callable[..., Tensor]] = {
    "textbook": textbook,
    "whole": whole,
    "strips (the model's)": attend,
    "folded": folded,
}


def draw(batch: int, heads: int, side: int, head_dim: int, device: torch.device) -> tuple[Tensor, ...]:
    """Random arguments of a way, lying in memory as the model's do."""
    n = side * side
    qkv = torch.randn(batch, n, 3, heads, head_dim, device=device).permute(2, 0, 3, 1, 4)
    by_row, by_column = torch.randn(2, batch, heads, n, side, device=device).unbind()
    return (qkv[0] * head_dim**-0.5, qkv[1], qkv[2], by_row, by_column)


def measure(arguments: tuple[Tensor, ...], repeats: int, title: str) -> dict[str, dict]:
    """Milliseconds and times faster than the textbook, by way; on a GPU peak memory too."""
    want = textbook(*arguments)
    for name, way in WAYS.items():
        torch.testing.assert_close(way(*arguments), want, atol=1e-5, rtol=1e-5, msg=name)
    del want
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    peak_mb = {}
    for _ in track(range(repeats), title):
        for name, way in WAYS.items():
            seconds[name].append(clock(way, arguments))
            if arguments[0].is_cuda:
                peak_mb[name] = torch.cuda.max_memory_allocated() / 2**20
    return {
        name: {
            "ms": 1e3 * statistics.median(took),
            "times_faster": statistics.median(t / s for t, s in zip(seconds["textbook"], took, strict=True)),
            "peak_mb": peak_mb.get(name),
            "samples_s": took,
        }
        for name, took in seconds.items()
    }


def clock(way: Callable[..., Tensor], arguments: tuple[Tensor, ...]) -> float:
    """Seconds of a call behind an untimed one, so that no way pays for memory that another gave back."""
    way(*arguments)
    on_gpu = arguments[0].is_cuda
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    start = time.perf_counter()
    way(*arguments)
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=["sam_vit_b", "sam_vit_h"], metavar="MODEL")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1, help="images")
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    device = check_device(given.device)
    keep_freed_memory()
    result: dict[str, dict] = {}
    windows = (-(-GRID // WINDOW)) ** 2
    for name in given.models:
        variant = VARIANTS[name]
        head_dim = variant.dim // variant.heads
        for block, batch, side in (("window", windows * given.batch, WINDOW), ("global", given.batch, GRID)):
            arguments = draw(batch, variant.heads, side, head_dim, device)
            result[f"{name} {block}"] = measure(arguments, given.repeats, f"{name} {block}")
    facts: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "device": device_name(given.device)}
    facts |= {"batch": given.batch, "versions": versions(), "git": git_state()}
    file = RESULTS / f"attention-{device.type}.json"
    file.write_text(json.dumps(facts | {"blocks": result}, indent=1) + "\n")
    for block, ways in result.items():
        for way, found in ways.items():
            print(f"{block}  {way:22s} {found['ms']:8.1f} ms  {found['times_faster']:.2f} times faster")
    print(file)


if __name__ == "__main__":
    main()
