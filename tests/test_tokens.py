"""Texts cut into tokens: exactly where the tokenizer is installed, about right anywhere else."""

import asyncio.tasks
import base64
import functools
import hashlib
import inspect
import json
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import tokens
from workbench.tokens import count, pieces

EXACT = pytest.mark.skipif(find_spec("splintr") is None, reason="splintr-rs has no wheel for this machine")
BOTH = pytest.mark.parametrize("tokenizer", [pytest.param("o200k_base", marks=EXACT), "estimate"])

ANY_TEXT = (
    st.text()
    | st.text("ab1 ._\n\t日本語é🙂'ABC", max_size=60)
    | st.text(st.characters(exclude_categories=()))  # half surrogate pairs, too
)
SENTENCES = st.lists(st.from_regex(r"\A\S(.*\S)?\Z", fullmatch=True), min_size=1, max_size=5)
SAMPLES: dict[str, str] = {
    **tomllib.loads((Path(__file__).parent / "samples.toml").read_text(encoding="utf-8")),
    "code": inspect.getsource(asyncio.tasks) + inspect.getsource(zipfile) + inspect.getsource(textwrap),
    "docstrings": "\n\n".join(filter(None, map(inspect.getdoc, vars(asyncio).values()))),
    "json": json.dumps(
        [{"id": f"call_{n}", "at": 1764000000 + 37 * n, "ok": n % 3 > 0, "tags": ["eu"]} for n in range(50)]
    ),
    "numbers": ", ".join(f"{n**3 / 7:.{n % 5}f}" for n in range(200)),
}


@contextmanager
def chosen(tokenizer: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "TOKENIZER", tokenizer)
        yield


@BOTH
@given(ANY_TEXT)
def test_joined_the_pieces_are_the_text(tokenizer: str, text: str) -> None:
    """No character of any text is lost, doubled or moved; the last piece completes the last character."""
    with chosen(tokenizer):
        assert "".join(pieces(text)) == text
        assert pieces(text)[-1:] != [""]


@BOTH
@given(ANY_TEXT)
def test_count_is_the_number_of_pieces(tokenizer: str, text: str) -> None:
    """A text has as many tokens as pieces."""
    with chosen(tokenizer):
        assert count(text) == len(pieces(text))


@BOTH
@given(SENTENCES)
def test_the_count_of_sentences_adds_up(tokenizer: str, sentences: list[str]) -> None:
    """Sentences joined by spaces have the tokens of each with its space: they can be counted apart."""
    first, *others = sentences
    with chosen(tokenizer):
        assert count(" ".join(sentences)) == count(first) + sum(count(f" {other}") for other in others)


@BOTH
@pytest.mark.parametrize("sign", ["a", " ", "\n", "!", "日", "🙂", "\0", "\ud800", "é"])
def test_a_very_long_run_is_cut(tokenizer: str, sign: str) -> None:
    """A word of a hundred thousand letters, and a run of anything else, is cut in no time."""
    text = sign * 100_000
    with chosen(tokenizer):
        assert "".join(made := pieces(text)) == text
        assert len(made) == count(text)


# -- exactly --------------------------------------------------------------------------------------------


@functools.cache
def ranks() -> dict[bytes, int]:
    return {tokens._o200k().decode_token_bytes(token): token for token in range(199_998)}


@EXACT
def test_the_vocabulary_is_the_published_one() -> None:
    """Written as OpenAI's ``o200k_base.tiktoken``, the vocabulary has the digest that tiktoken expects."""
    lines = (base64.b64encode(part) + f" {rank}\n".encode() for part, rank in ranks().items())
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    assert digest == "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"


@EXACT
@given(st.text() | st.text("aAbB1 2.,'sSlL\n\r\t\u00a0_-/日本éß🙂\u200d\x1c\u2028", max_size=40))
def test_tiktoken_cuts_in_the_same_places(text: str) -> None:
    """tiktoken, with that vocabulary, finds the same tokens in any text."""
    assert [ranks()[part] for part in parts_of(text)] == tiktoken().encode_ordinary(text)


@EXACT
@pytest.mark.parametrize("kind", SAMPLES)
def test_tiktoken_counts_the_same(kind: str) -> None:
    """tiktoken counts the same tokens in prose, code and data."""
    with chosen("o200k_base"):
        assert count(SAMPLES[kind]) == len(tiktoken().encode_ordinary(SAMPLES[kind]))


@functools.cache
def tiktoken() -> Any:
    from splintr import O200K_BASE_PATTERN
    from tiktoken import Encoding

    return Encoding("o200k", pat_str=O200K_BASE_PATTERN, mergeable_ranks=ranks(), special_tokens={})


def parts_of(text: str) -> list[bytes]:
    return [tokens._o200k().decode_token_bytes(token) for token in tokens._o200k().encode_ordinary(text)]


@EXACT
@pytest.mark.parametrize(
    ("text", "cut"),
    [
        pytest.param("2 + 2 = 4", ["2", " +", " ", "2", " =", " ", "4"], id="sum"),
        pytest.param(
            "antidisestablishmentarianism", ["ant", "idis", "est", "ablishment", "arian", "ism"], id="word"
        ),
        pytest.param(
            "お誕生日おめでとう", ["お", "", "誕", "生日", "お", "め", "で", "とう"], id="a character in two"
        ),
        pytest.param("<|endoftext|>", ["<", "|", "end", "of", "text", "|", ">"], id="no special token"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_known_texts_are_cut_as_published(text: str, cut: list[str]) -> None:
    """The examples of OpenAI's cookbook come out as it shows them; a special token's spelling is text."""
    with chosen("o200k_base"):
        assert pieces(text) == cut


# -- about right ----------------------------------------------------------------------------------------


@EXACT
@pytest.mark.parametrize("kind", SAMPLES)
def test_the_estimate_is_within_eight_percent(kind: str) -> None:
    """Prose in six languages, code, JSON, numbers and emoji have about as many pieces as tokens."""
    with chosen("o200k_base"):
        exact = count(SAMPLES[kind])
    with chosen("estimate"):
        assert count(SAMPLES[kind]) == pytest.approx(exact, rel=0.08)


def test_estimated_pieces_are_like_tokens() -> None:
    """The estimator cuts words with their space, digits in threes, and says of an emoji nothing at first."""
    with chosen("estimate"):
        assert pieces("In 2025, 12345 calls_made 🙂") == [
            "In",
            " ",
            "202",
            "5",
            ",",
            " ",
            "123",
            "45",
            " calls",
            "_made",
            "",
            " 🙂",
        ]


# -- which one ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("installed", "asked", "tokenizer"),
    [
        (True, None, "o200k_base"),
        (True, "", "o200k_base"),
        (True, "estimate", "estimate"),
        (True, "o200k_base", "o200k_base"),
        (False, None, "estimate"),
        (False, "estimate", "estimate"),
    ],
)
def test_the_environment_chooses(
    monkeypatch: pytest.MonkeyPatch, installed: bool, asked: str | None, tokenizer: str
) -> None:
    """The tokenizer is the exact one where it is installed, unless the environment asks for the estimate."""
    monkeypatch.setattr(tokens, "find_spec", lambda name: installed or None)
    monkeypatch.delenv("WORKBENCH_TOKENIZER", raising=False)
    if asked is not None:
        monkeypatch.setenv("WORKBENCH_TOKENIZER", asked)
    assert tokens._choose() == tokenizer


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [("cl100k", ValueError, "'cl100k'"), ("o200k_base", ImportError, "needs splintr-rs: install it")],
)
def test_a_wrong_choice_is_refused(
    monkeypatch: pytest.MonkeyPatch, asked: str, error: type[Exception], message: str
) -> None:
    """An unknown tokenizer, or one that is not installed, is an error that says what to do."""
    monkeypatch.setattr(tokens, "find_spec", lambda name: None)
    monkeypatch.setenv("WORKBENCH_TOKENIZER", asked)
    with pytest.raises(error, match=message):
        tokens._choose()


def test_nothing_is_loaded_before_a_text_is_cut() -> None:
    """A simulator and its clients can be made without the vocabulary."""
    code = "import sys, workbench as wb; wb.Simulator().openai(); print('splintr' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
