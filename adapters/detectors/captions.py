"""Category names as captions, and which of a caption's tokens are whose.

GroundingDINO reads one text, "cat. dog. hot dog.", of at most 256 tokens, and gives every box a score per
token. A category's score is the mean over exactly its own tokens, as in the authors' COCO evaluation
(``PostProcessCocoGrounding`` in demo/test_ap_on_coco.py, with ``create_positive_map_from_span``; their 1e-6
in the divisor is left out). Tokens are found by their place in the text, never by what they spell: "dog" of
"hot dog" is not the dog's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sambench.adapters.concepts import cleaned
from sambench.adapters.detectors.base import Category
from sambench.evsam.errors import SambenchError

MOST_TOKENS = 256  # ``max_text_len`` of the authors' configurations
LVIS_CHUNK = 40  # names a caption for LVIS: ``chunked_size`` of mmdetection's configurations of GroundingDINO

SEPARATORS = (101, 102, 1012, 1029)
"""BERT's ids of [CLS], [SEP], "." and "?": the model lets words between two of them see each other alone."""

Tokenizer = Callable[..., Any]
"""A fast tokenizer of transformers, of BERT's uncased vocabulary."""


@dataclass(frozen=True)
class Caption:
    """One text for K categories, in T tokens."""

    text: str
    tokens: Tensor
    """(T,) int."""
    share: Tensor
    """(K, T) float: what each token adds to each category's score; rows sum to 1."""
    category_ids: Tensor
    """(K,) int, of the data set."""

    def scores(self, logits: Tensor) -> Tensor:
        """Turn logits (Q, >= T) of tokens into scores (Q, K) of categories."""
        return logits[:, : len(self.tokens)].sigmoid() @ self.share.T.to(logits.device)


NAMES = ("cleaned", "as_given")
"""How names become phrases."""


def phrase(name: str, names: str = "cleaned") -> str:
    """Turn a category's name into what the caption says: "Bow_(weapon)" to "bow".

    LVIS's underscores and parentheses go (`adapters.concepts.cleaned`), or stay where names are taken
    ``as_given``, as SGinW's script does. A full stop or question mark would end the phrase within the
    model, so it always goes.

    Raises:
        SambenchError: nothing is left.
    """
    plain = cleaned(name) if names == "cleaned" else name.lower()
    words = " ".join(re.sub(r"[.?]", " ", plain).split())
    if not words:
        raise SambenchError(f"category {name!r} has no words to look for. Rename it in the annotations.")
    return words


def captions(
    tokenizer: Tokenizer,
    categories: Sequence[Category],
    chunk_size: int | None = None,
    names: str = "cleaned",
) -> list[Caption]:
    """Write captions for all categories, in their order.

    Args:
        tokenizer: of the model.
        categories: of the data set.
        chunk_size: most names a caption; ``None`` for all in one where they fit, and else `LVIS_CHUNK`. A
            caption ends sooner where the next name would not fit.
        names: one of `NAMES`.

    Raises:
        SambenchError: the vocabulary is not BERT's, an option is wrong, or a name fits no caption.
    """
    if names not in NAMES:
        raise SambenchError(f"option names is {names!r}; it can be {' or '.join(NAMES)}.")
    if tuple(tokenizer("[CLS] [SEP] . ?", add_special_tokens=False)["input_ids"]) != SEPARATORS:
        raise SambenchError(
            "the tokenizer is not of BERT's uncased vocabulary. Give the folder of bert-base-uncased with "
            "--option tokenizer=FOLDER."
        )
    if chunk_size is not None and chunk_size < 1:
        raise SambenchError(f"option chunk_size is {chunk_size}; a caption has at least 1 name.")
    categories = [Category(c.id, phrase(c.name, names)) for c in categories]
    if chunk_size is not None:
        chunks = list(_chunks(tokenizer, categories, chunk_size))
    else:
        chunks = list(_chunks(tokenizer, categories, len(categories)))
        if len(chunks) > 1:
            chunks = list(_chunks(tokenizer, categories, LVIS_CHUNK))
    return [_caption(tokenizer, chunk) for chunk in chunks]


def _chunks(tokenizer: Tokenizer, categories: Sequence[Category], most: int) -> Iterator[list[Category]]:
    """Cut the categories so that each piece has at most so many and fits a caption."""
    room = MOST_TOKENS - 2  # [CLS] and [SEP]
    chunk: list[Category] = []
    used = 0
    for category in categories:
        needed = len(tokenizer(category.name + ".", add_special_tokens=False)["input_ids"])
        if needed > room:
            raise SambenchError(
                f"category {category.name!r} takes {needed} tokens, and a caption has {room}. Give it a "
                "shorter name in the annotations."
            )
        if chunk and (len(chunk) == most or used + needed > room):
            yield chunk
            chunk, used = [], 0
        chunk.append(category)
        used += needed
    yield chunk


def _caption(tokenizer: Tokenizer, categories: Sequence[Category]) -> Caption:
    text = ""
    spans: list[tuple[int, int]] = []
    for category in categories:
        spans.append((len(text), len(text) + len(category.name)))
        text += category.name + ". "
    text = text.rstrip()
    encoded = tokenizer(text, return_offsets_mapping=True)
    begin, end = torch.tensor(encoded["offset_mapping"]).unbind(dim=1)
    # [CLS] and [SEP] lie at (0, 0) in the text, which is in no span: tokens of a name have a length
    own = torch.stack([(begin >= first) & (end <= last) & (begin < end) for first, last in spans])
    count = own.sum(dim=1, keepdim=True)
    assert bool((count > 0).all()), text
    return Caption(
        text=text,
        tokens=torch.tensor(encoded["input_ids"]),
        share=own / count,
        category_ids=torch.tensor([c.id for c in categories]),
    )
