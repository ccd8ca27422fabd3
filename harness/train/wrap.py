"""What is put around a model to train it at scale: DDP or FSDP2, the compiler, activations made again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from sambench.evsam.errors import SambenchError
from sambench.evsam.train.learner import Learner
from sambench.harness.train.config import Training
from sambench.harness.train.ranks import Ranks


def wrapped(module: Learner, config: Training, ranks: Ranks) -> nn.Module:
    """Wrap a step's module, which is on its device, as a training asks for.

    Raises:
        SambenchError: what is asked for needs CUDA or more than one process.
    """
    if config.optimiser.norms == "synchronised":
        if ranks.device.type != "cuda":
            raise SambenchError("optimiser.norms: synchronised batch norms need CUDA; say batch or frozen.")
        if ranks.several:
            nn.SyncBatchNorm.convert_sync_batchnorm(module)
    encoder = module.model.image_encoder
    if config.shard:  # FSDP2 takes no weights of another format; convolutions follow their input as well
        encoder.register_forward_pre_hook(_channels_last)
    else:
        encoder.to(memory_format=torch.channels_last)
    if config.compile and (config.recompute or config.shard):
        # a graph of the whole encoder would break between its stages
        for stage in outermost_lists(encoder):
            stage.forward = torch.compile(stage.forward)
    elif config.compile:
        encoder.compile()
    if config.recompute:
        recompute(encoder)
    if config.shard:
        return _sharded(module, ranks)
    if ranks.several:
        # a step asks by boxes or by points, for three masks or one: not every part has a gradient
        cards = [ranks.device.index] if ranks.device.type == "cuda" else None
        return DistributedDataParallel(
            module, device_ids=cards, find_unused_parameters=True, gradient_as_bucket_view=True
        )
    return module


def _sharded(module: Learner, ranks: Ranks) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if not ranks.several:
        raise SambenchError("shard: there is one process. Start several with torchrun, or leave it out.")
    mesh = init_device_mesh(ranks.device.type, (ranks.ranks,))
    for stage in outermost_lists(module.model.image_encoder):
        fully_shard(stage, mesh=mesh)
    fully_shard(module, mesh=mesh)
    module.touch_all = True  # every process must have a gradient of every parameter, or none has
    return module


def forget_unused(learner: Learner) -> None:
    """Take away gradients that are zero in all processes, where they are cut over them.

    They are zero where `Learner.touch_all` made them: of parameters that no image of the step has used. AdamW
    would shrink those, and one process alone, where they have no gradient, does not.
    """
    stay = {id(p) for p in learner.dropped}
    learning = [p for p in learner.parameters() if p.grad is not None and id(p) not in stay]
    counts = torch.stack([p.grad.to_local().count_nonzero() for p in learning])  # type: ignore[union-attr]
    dist.all_reduce(counts)
    for parameter, count in zip(learning, counts.tolist(), strict=True):
        if not count:
            parameter.grad = None


def _channels_last(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    del module
    return tuple(one.contiguous(memory_format=torch.channels_last) for one in inputs)


def recompute(encoder: nn.Module) -> None:
    """Let the encoder's stages forget their activations, and compute them again on the way back."""
    for stage in outermost_lists(encoder):
        stage.forward = functools.partial(_again, stage, stage.forward)


def _again(stage: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs)
    contexts = lambda: (nullcontext(), _statistics_kept(stage))  # noqa: E731
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_kept(stage: nn.Module) -> Iterator[None]:
    """Let batch norms count in copies when a stage is computed again: they have counted its images."""
    norms = [m for m in stage.modules() if isinstance(m, _BatchNorm) and m.training]
    kept = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers(recurse=False)]
    for norm, name, buffer in kept:
        setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)


def outermost_lists(module: nn.Module) -> list[nn.Module]:
    """Return the members of the outermost lists of modules: an encoder's stages or blocks."""
    found: list[nn.Module] = []
    for child in module.children():
        found += list(child) if isinstance(child, nn.ModuleList) else outermost_lists(child)
    return found
