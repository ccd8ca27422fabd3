"""What papers and repositories say of promptable segmentation models: a YAML file a source, looked up.

>>> from sambench.reports import literature
>>> for claim in literature.claims("mobile_sam", "gt_box", "coco"):
...     print(claim.metric, claim.value, claim.source)

`reports.published` is the EfficientViT-SAM paper alone, whose protocol sambench reproduces; it is one of the
sources here, and none of the others is subtracted from a measured number: `differs` says why not.
"""

from __future__ import annotations

from sambench.reports.literature.claim import Claim, differs
from sambench.reports.literature.registry import beside, claims, sources
from sambench.reports.literature.source import Source

__all__ = ["Claim", "Source", "beside", "claims", "differs", "sources"]
