"""SA-Co by name: files lie where the authors' configurations have them, three annotators in order."""

from __future__ import annotations

import pytest

from sambench.reports.literature.vocabulary import DATASETS, GOLD, SILVER
from sambench.suites.data.named import find, known

IMAGES = {"sa1b_nps": "sa1b-images", "nga_art": "nga"}
"""Of the others: MetaCLIP's, and a folder of the domain's name."""
FILES = {"metaclip_nps": "metaclip", "sa1b_nps": "sa1b"}
"""Parts of file names that are not the subset's."""


@pytest.mark.parametrize("subset", GOLD)
def test_gold_has_three_annotators(subset: str) -> None:
    file = find(f"saco_gold_{subset}")
    folder = "${SACO_GOLD}/gt-annotations/gold_" + FILES.get(subset, subset)
    a, b, c = (f"{folder}_merged_{who}_release_test.json" for who in "abc")
    assert (file.annotations, list(file.annotators)) == (a, [b, c])
    assert file.images == "${SACO_GOLD}/" + IMAGES.get(subset, "metaclip-images")
    assert (file.name, file.format) == (f"saco_gold_{subset}", "saco")
    assert "SAM License" in file.note
    assert "$SACO_GOLD" in file.note


@pytest.mark.parametrize("domain", SILVER)
def test_silver_has_one(domain: str) -> None:
    file = find(f"saco_silver_{domain}")
    part = domain if domain == "fathomnet" else f"{domain}_merged"  # whose name alone lacks the word
    assert file.annotations == f"${{SACO_SILVER}}/gt-annotations/silver_{part}_test.json"
    assert not file.annotators
    assert file.images == "${SACO_SILVER}/" + IMAGES.get(domain, domain)
    assert (file.name, file.format) == (f"saco_silver_{domain}", "saco")
    assert "$SACO_SILVER" in file.note


def test_every_set_has_its_name_in_the_literature_too() -> None:
    named = {name for name in known() if name.startswith("saco_")}
    assert named == {name for name in DATASETS if name.startswith("saco_")} - {"saco_gold", "saco_silver"}
