"""What `weights.yaml` says."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import msgspec
import pytest
import yaml

from sambench.adapters.models import REGISTRY
from sambench.adapters.weights.shipped import MODELS
from sambench.adapters.weights.upstream import FILE, RemoteFile, Upstream, upstream, upstreams

ENTRIES = upstreams()
FILES = list(dict.fromkeys(file for entry in ENTRIES.values() for file in entry.files))
"""Each once: SAM 3 and its tracker are of one folder."""
WORDS = "https://huggingface.co/openai/clip-vit-base-patch32/resolve/main/tokenizer.json"
"""The one file that several models have in folders of their own."""


def test_every_model_of_the_registry_is_here_but_those_that_draw_without_weights() -> None:
    drawn = {name for name, entry in REGISTRY.items() if ".baselines:" in entry.target}
    assert drawn == {"box", "ellipse", "grabcut"}
    assert set(REGISTRY) - drawn - set(MODELS) <= set(ENTRIES)
    assert not drawn & set(ENTRIES)


def test_the_families_are_complete() -> None:
    hiera = [f"{version}_hiera_{s}" for version in ("sam2", "sam2_1") for s in ("tiny", "small", "base_plus")]
    phrases = ("sam3", "sam3_tracker", *(f"sam3_litetext_{size}" for size in ("s0", "s1", "l")))
    for name in ("sam2_1_hiera_large", "sam_hq_vit_h", "edge_tam", "slim_sam_77", *hiera, *phrases):
        folder = ENTRIES[name].location
        tokenizer = ["tokenizer.json"] if name in phrases else []
        assert [Path(file.name) for file in ENTRIES[name].files] == [
            folder / file for file in ("config.json", *tokenizer, "model.safetensors")
        ]
    assert ENTRIES["sam3_tracker"] == ENTRIES["sam3"]
    for name in ("sam_vit_h", "edge_sam_3x", "tiny_sam", "repvit_sam", "fast_sam_s", "fast_sam_x"):
        assert len(ENTRIES[name].files) == 1


def test_no_name_is_given_twice() -> None:
    written = re.findall(r"^(\w+):(?: &\w+)?$", FILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert written == list(ENTRIES)  # a YAML reader silently takes the last of equal keys
    names = [file.name for file in FILES]
    assert len(set(names)) == len(names)
    own = [file.url for file in FILES if file.url != WORDS]
    assert len(set(own)) == len(own)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_has_a_safe_name_and_a_sound_place_size_and_checksum(file: RemoteFile) -> None:
    assert re.fullmatch(r"https://[\w.-]+/\S+", file.url)
    assert re.fullmatch(r"([\w.-]+/)?[\w.-]+", file.name)
    assert ".." not in PurePosixPath(file.name).parts
    # The name is the one at the end of its url, so that one who gets it by hand need not rename it.
    assert file.url.endswith(f"/{Path(file.name).name}{'.zip' * file.zipped}")
    assert file.bytes is None or file.bytes > 0
    assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)


def test_no_two_files_have_one_checksum() -> None:
    known = [file.sha256 for file in FILES if file.sha256]
    assert len(set(known)) == len(known) > 20


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_names_its_licence_and_page(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.licence
    assert entry.page.startswith("https://")


def test_files_of_the_hub_lie_in_a_folder_named_after_their_repository_or_after_their_model() -> None:
    for name, entry in ENTRIES.items():
        of_several = WORDS in [file.url for file in entry.files]
        for file in entry.files:
            if "/" in file.name:
                repository = re.match(r"https://huggingface\.co/([^/]+/[^/]+)/resolve/", file.url)
                assert repository is not None
                folder = name if of_several else repository[1].replace("/", "--")
                assert file.name.startswith(f"{folder}/")


def test_terms_that_must_be_accepted_are_said() -> None:
    assert "HF_TOKEN" in (ENTRIES["sam3_tracker"].note or "")
    assert "non-commercial" in ENTRIES["edge_sam"].licence
    assert ENTRIES["fast_sam_s"].licence == "AGPL-3.0"


@pytest.mark.parametrize("wrong", [{"licens": "MIT"}, {"files": [{"name": "a", "url": "b", "sha": "c"}]}])
def test_a_misspelt_key_is_an_error(wrong: dict[str, object]) -> None:
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(content["sam_vit_b"] | wrong, Upstream)


def test_a_repository_of_the_hub_is_two_files_of_one_folder() -> None:
    found = upstream("hf:owner/some.Name-1")
    assert found is not None
    assert [(file.name, file.url) for file in found.files] == [
        (f"owner--some.Name-1/{name}", f"https://huggingface.co/owner/some.Name-1/resolve/main/{name}")
        for name in ("config.json", "model.safetensors")
    ]
    assert found.location == Path("owner--some.Name-1")
    assert found.page == "https://huggingface.co/owner/some.Name-1"


def test_the_hub_s_own_name_of_a_model_leads_to_the_same_folder() -> None:
    by_hub = upstream("hf:facebook/sam2.1-hiera-tiny")
    assert by_hub is not None
    assert by_hub.location == ENTRIES["sam2_1_hiera_tiny"].location


@pytest.mark.parametrize(
    "name",
    [
        "hf:",
        "hf:name",
        "hf:a/b/c",
        "hf:./folder",
        "hf:../folder",
        "hf:/folder",
        "hf:~/folder",
        "box",
        "sam_vit_x",
    ],
)
def test_paths_and_models_without_weights_have_no_upstream(name: str) -> None:
    assert upstream(name) is None
