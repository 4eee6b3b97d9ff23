"""Texts cut into pieces, and nothing lost."""

from hypothesis import given
from hypothesis import strategies as st

from workbench.tokens import count, pieces

ANY_TEXT = st.text() | st.text("ab1 ._\n\t日本語é🙂'", max_size=60)
SENTENCES = st.lists(st.from_regex(r"\A\S(.*\S)?\Z", fullmatch=True), min_size=1, max_size=5)


@given(ANY_TEXT)
def test_joined_the_pieces_are_the_text(text: str) -> None:
    """No character of any text is lost, doubled or moved."""
    assert "".join(pieces(text)) == text
    assert all(pieces(text))


@given(ANY_TEXT)
def test_count_is_the_number_of_pieces(text: str) -> None:
    """A text has as many tokens as pieces."""
    assert count(text) == len(pieces(text))


@given(SENTENCES)
def test_the_count_of_sentences_adds_up(sentences: list[str]) -> None:
    """Sentences joined by spaces have the tokens of each with its space: they can be counted apart."""
    assert count(" ".join(sentences)) == sum(count(f" {sentence}") for sentence in sentences)


def test_pieces_are_about_as_long_as_tokens() -> None:
    """English prose has about four to five characters a piece, Japanese about one."""
    english = "A token bucket refills at a steady rate, and whoever finds it empty has to wait for a while."
    assert 3.5 < len(english) / count(english) < 5.5
    assert count("日本語の文章") == 6
    assert pieces("In 2025, 12345 calls_made") == [
        "In",
        " 202",
        "5",
        ",",
        " 123",
        "45",
        " calls",
        "_",
        "made",
    ]
