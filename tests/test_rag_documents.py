"""Documents and chunks: clean text or a typed error in, and back out to the character."""

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DocumentError
from workbench.rag import Document, chunks, join, package_documents, read
from workbench.tokens import count

TEXTS = st.text() | st.lists(
    st.sampled_from(
        ["word ", "\n\n", "\n", "A sentence. ", "x" * 40, "日本語。", "😀", "e\u0301", "\t", "a_b(c)"]
    ),
    max_size=200,
).map("".join)


@given(TEXTS, st.integers(16, 60), st.data())
def test_chunks_join_back(text: str, most: int, data: st.DataObject) -> None:
    """Whatever the text, its chunks are slices of it that go on and overlap as allowed, and give it back."""
    overlap = data.draw(st.integers(0, most // 2))
    cut = chunks(Document("d", text), max_tokens=most, overlap=overlap)
    assert join(cut) == text
    for chunk in cut:
        assert chunk.text == text[chunk.start : chunk.end] != ""
        assert chunk.tokens == count(chunk.text) <= most
    for before, after in pairwise(cut):
        assert before.start < after.start <= before.end < after.end
        assert count(text[after.start : before.end]) <= overlap


def test_chunks_follow_the_structure() -> None:
    """A chunk ends after a blank line where there is one, else after a line, a sentence, a word."""
    for boundary in ("\n\n", "\n", ". ", " "):
        text = boundary.join(f"word{number}" for number in range(100))
        cut = chunks(Document("d", text), max_tokens=40, overlap=0)
        assert len(cut) > 2
        assert all(chunk.text.endswith(boundary) for chunk in cut[:-1])
    paragraphs = "one two three four five six\nseven eight. nine\n\n" * 10
    assert all(
        chunk.text.endswith("\n\n") for chunk in chunks(Document("d", paragraphs), max_tokens=40, overlap=8)
    )


def test_chunks_are_filled() -> None:
    """Of a text that has boundaries everywhere, a chunk takes at least nine tenths of what it may."""
    text = "all work and no play makes a dull boy of you " * 200
    assert all(chunk.tokens >= 57 for chunk in chunks(Document("d", text), max_tokens=64, overlap=8)[:-1])


@pytest.mark.parametrize(
    "text", ["x" * 100_000, " " * 50_000, "\n" * 50_000, "日" * 20_000, "a\u0301" * 9_000]
)
def test_monotonous_texts(text: str) -> None:
    """A huge text without a boundary is cut, too, in chunks that are as long as they may be."""
    cut = chunks(Document("d", text), max_tokens=128, overlap=16)
    assert join(cut) == text
    assert all(chunk.tokens <= 128 for chunk in cut)
    assert len(cut) <= 2 + count(text) / (0.4 * 128 - 16)


@pytest.mark.parametrize(("most", "overlap"), [(15, 0), (16, 9), (16, -1)])
def test_chunk_sizes_that_make_no_sense(most: int, overlap: int) -> None:
    """A chunk too small for a character, or an overlap of more than half of it, is refused."""
    with pytest.raises(ValueError, match=rf"at least 16, .* got {most} and {overlap}"):
        chunks(Document("d", "text"), max_tokens=most, overlap=overlap)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        pytest.param(b"", "'d' is empty", id="empty"),
        pytest.param(b" \n\t", "'d' is empty", id="blank"),
        pytest.param("Grüße".encode("latin-1"), r"'d' is no UTF-8: b'\\xfc' at byte 2", id="Latin-1"),
        pytest.param("UTF-16".encode("utf-16"), "'d' is no UTF-8", id="UTF-16"),
        pytest.param(b"\xed\xa0\x80", "'d' is no UTF-8", id="half a surrogate pair"),
        pytest.param(b"x" * 4_000_001, "4,000,001 bytes, more than 4,000,000: split it", id="huge"),
    ],
)
def test_documents_that_cannot_be_used(raw: bytes, complaint: str) -> None:
    """What is no text, no document or too large is refused by an error that says which and why."""
    with pytest.raises(DocumentError, match=complaint):
        read("d", raw)


def test_control_characters_are_replaced() -> None:
    """NULs and their like become U+FFFD, one for one; tabs, line ends and all other signs stay."""
    text = read("d", "\ufeffa\x00b\x1b[31m\tc\r\nd\x7f é 😀".encode()).text
    assert text == "a\ufffdb\ufffd[31m\tc\r\nd\ufffd é 😀"


def test_documents_of_packages() -> None:
    """A package's documents have unique names, their signature first, and no docstring twice."""
    documents = package_documents("httpx2", "anyio")
    named = {document.name: document.text for document in documents}
    assert len(named) == len(documents) > 400
    assert named["httpx2.Timeout"].startswith("class Timeout\n\nTimeout configuration.")
    assert named["anyio.fail_after"].startswith("def fail_after( delay: float | None, shield: bool = False, ")
    docstrings = [text.partition("\n\n")[2] for name, text in named.items() if name.startswith("httpx2.")]
    assert len({d for d in docstrings if d}) == len([d for d in docstrings if d])
    assert not any(part.startswith("_") for name in named for part in name.split("."))


def test_documents_are_the_same_in_any_process() -> None:
    """Neither the hash seed nor what is imported changes the documents or their order."""
    code = "from workbench.rag import package_documents as p; print(ascii(p('httpx2')))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


@pytest.mark.parametrize("package", ["no_such_package", "sys", "splintr.splintr"])
def test_packages_without_source(package: str) -> None:
    """A package that is not there, or has no Python source, is refused by its name."""
    with pytest.raises(DocumentError, match=f"package {package!r} is not installed, or has no Python source"):
        package_documents(package)


def test_a_single_module_is_a_package_too() -> None:
    """A module that is one file has its documents under its own name."""
    assert "nest_asyncio.apply" in [document.name for document in package_documents("nest_asyncio")]
