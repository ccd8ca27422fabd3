"""cgF1 pair by pair in plain Python, after the description of the official evaluation alone."""

from __future__ import annotations

import math
from statistics import fmean

from pycocotools import mask as rle
from scipy.optimize import linear_sum_assignment

THRESHOLDS = [0.5 + 0.05 * k for k in range(10)]


def pair_of(truths, found):
    """One pair with one annotator: counts, and its own F1s where it has any."""
    hits = [0] * 10
    if truths and found:
        iou = rle.iou(
            [p["segmentation"] for p in found], [t["segmentation"] for t in truths], [0] * len(truths)
        )
        rows, columns = linear_sum_assignment(-iou)
        hits = [sum(iou[i, j] >= t - 1e-12 for i, j in zip(rows, columns, strict=True)) for t in THRESHOLDS]
    f1s = None
    if truths or found:
        f1s = []
        for tp in hits:
            precision, recall = tp / (len(found) + 1e-4), tp / (len(truths) + 1e-4)
            f1s.append(2 * precision * recall / (precision + recall + 1e-4))
    return {"truths": len(truths), "found": len(found), "hits": hits, "f1s": f1s}


def evaluate(annotators, predictions):
    """Contents of annotation files and of a result file to the numbers of `sambench score`, percent."""
    pairs = []
    for image in annotators[0]["images"]:
        entries = [next(i for i in a["images"] if i["id"] == image["id"]) for a in annotators]
        if not all(entry["is_instance_exhaustive"] for entry in entries):
            continue
        found = [p for p in predictions if p["image_id"] == image["id"] and p["score"] >= 0.5]
        best = None
        for annotator in annotators:
            truths = [
                a for a in annotator["annotations"] if a["image_id"] == image["id"] and not a["iscrowd"]
            ]
            one = pair_of(truths, found)
            if best is None:
                best = one
            elif best["f1s"] is None or one["f1s"] is None:
                best = one if one["f1s"] is None else best
            elif fmean(one["f1s"]) > fmean(best["f1s"]):
                best = one
        pairs.append(best)
    return _summed(pairs)


def _summed(pairs):
    there, said = [p["truths"] > 0 for p in pairs], [p["found"] > 0 for p in pairs]
    kinds = [(a, b) for a, b in zip(there, said, strict=True)]
    tp, fn, fp, tn = (kinds.count(k) for k in ((True, True), (True, False), (False, True), (False, False)))
    mcc = (tp * tn - fp * fn) / (math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) + 1e-6)
    micro, macro, all_ = [], [], []
    for k in range(10):
        hits = sum(p["hits"][k] for p in pairs)
        recall = hits / (sum(p["truths"] for p in pairs) + 1e-4)
        precision = hits / (sum(p["found"] for p in pairs if p["truths"]) + 1e-4)
        micro.append(2 * precision * recall / (precision + recall + 1e-4))
        precision = hits / (sum(p["found"] for p in pairs) + 1e-4)
        all_.append(2 * precision * recall / (precision + recall + 1e-4))
        both = [p["f1s"][k] for p, kind in zip(pairs, kinds, strict=True) if kind == (True, True)]
        macro.append(fmean(both) if both else None)
    numbers = {
        "il_mcc": mcc,
        "cgf1": 100 * fmean(micro) * mcc,
        "pmf1": 100 * fmean(micro),
        "f1": 100 * fmean(all_),
    }
    numbers |= {"cgf1_50": 100 * micro[0] * mcc, "cgf1_75": 100 * micro[5] * mcc, "pmf1_50": 100 * micro[0]}
    return numbers | {"macro_f1": None if None in macro else 100 * fmean(macro)}
