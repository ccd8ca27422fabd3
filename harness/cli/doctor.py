"""``sambench doctor``: what this machine has."""

from __future__ import annotations

from sambench.harness.cli import options
from sambench.harness.cli.console import print_rows


def doctor(as_json: options.Json = False) -> None:
    """Say what this machine has, for a report of a problem."""
    import torch

    from sambench.adapters.engines import engine_libraries
    from sambench.adapters.weights.upstream import weights_folder
    from sambench.harness.provenance import device_name, git_state, versions

    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    facts = {
        **versions("transformers", "ultralytics", *engine_libraries()),
        **{d: device_name(d) for d in devices},
    }
    facts |= {"git": git_state().get("commit", "-"), "weights folder": str(weights_folder())}
    print_rows([{"what": what, "found": found} for what, found in facts.items()], as_json)
