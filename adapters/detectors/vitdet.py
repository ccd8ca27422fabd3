"""ViTDet: boxes from its authors' result file alone.

ViTDet (arXiv 2203.16527) is a project of detectron2, which no package registry has. An implementation that
nobody could run here would be no help, so there is none: this module only says where its boxes come from.
"""

from __future__ import annotations

from typing import Any, NoReturn

from sambench.evsam.errors import SambenchError


def create(name: str, **_: Any) -> NoReturn:
    """Refuse (see `adapters.detectors.registry.create`).

    Raises:
        SambenchError: always.
    """
    raise SambenchError(
        f"{name}: sambench does not run it. Its boxes come from its authors' result file, COCO result JSON: "
        f"give that to 'sambench run' with --detections {name}=FILE. A live run needs detectron2, whose "
        "evaluation of projects/ViTDet writes such a file, coco_instances_results.json."
    )
