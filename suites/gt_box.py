"""Ground-truth boxes (the paper's Table 3): prompt with the annotated box, score the mask by IoU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from sambench.adapters.base import Capabilities, Prompts
from sambench.suites.data.sample import Target
from sambench.suites.prompted import PromptedSuite
from sambench.suites.protocol import Protocol


class GtBox(PromptedSuite):
    """One box a prompt."""

    name: ClassVar[str] = "gt_box"
    title: ClassVar[str] = "Ground-truth boxes, mIoU"

    def refusal(self, capabilities: Capabilities, protocol: Protocol) -> str | None:
        """Need boxes."""
        del protocol
        return None if capabilities.boxes else "it takes no boxes"

    def prompts(self, targets: Sequence[Target]) -> Prompts:
        """Take the boxes as annotated."""
        return Prompts(boxes=torch.tensor([t.box for t in targets], dtype=torch.float32))
