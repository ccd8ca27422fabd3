"""``sambench doctor``: what this machine has."""

from __future__ import annotations

from sambench.harness.cli import options
from sambench.harness.cli.console import print_rows


def doctor(as_json: options.Json = False) -> None:
    """Say what this machine has, for a report of a problem.

    **Example**: sambench doctor --json
    """
    import torch

    from sambench.adapters.engines import ENGINES, engine_libraries
    from sambench.adapters.engines.processor import emulated, features
    from sambench.adapters.weights.upstream import weights_folder
    from sambench.harness.newer import newer
    from sambench.harness.provenance import cpu_capability, device_name, git_state, versions
    from sambench.suites.environment import environment

    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.accelerator.is_available() and (other := torch.accelerator.current_accelerator()):
        devices += [other.type] if other.type != "cuda" else []
    slow = [name for name, engine in ENGINES.items() if "bf16" in engine.precisions.get("cpu", ())]
    slow = [name for name in slow if emulated(name, "bf16", "cpu")]
    facts = {
        **versions("transformers", "ultralytics", *engine_libraries()),
        **{d: device_name(d) for d in devices},
    }
    facts |= {
        "cpu instructions": f"{cpu_capability()}: {', '.join(features()) or 'unknown'}",
        "emulated on the cpu": f"bf16 ({', '.join(slow)})" if slow else "-",
        "environment": ", ".join(f"{name}={value}" for name, value in environment().items()) or "-",
    }
    facts["newer than tested"] = ", ".join(newer()) or "-"
    facts |= {"git": git_state().get("commit", "-"), "weights folder": str(weights_folder())}
    print_rows([{"what": what, "found": found} for what, found in facts.items()], as_json)
