"""Bytes that were cut anywhere become text as soon as they can, and no sooner."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.wire.utf8 import Utf8Decoder

ALMOST = st.lists(
    st.sampled_from(["é", "€", "😀", "\ufeff", "a"]).map(str.encode)
    | st.sampled_from([b"\xc0", b"\xe0\x80", b"\xed\xa0", b"\xf0\x9f", b"\xf4\x90", b"\xff", b"\x80"])
    | st.binary(max_size=3)
).map(b"".join)


@functools.cache
def beginnings() -> frozenset[bytes]:
    """All that a character's bytes can begin with, without being all of them."""
    # The last byte, which counts to 64, is in none of them.
    characters = (chr(code) for code in range(0x80, 0x110000, 64) if not 0xD800 <= code < 0xE000)
    encoded = map(str.encode, characters)
    return frozenset(whole[:size] for whole in encoded for size in range(1, len(whole)))


@given(ALMOST)
def test_no_byte_is_held_back_without_need(data: bytes) -> None:
    """After each byte all is said but the bytes that a character may begin with."""
    decoder, said = Utf8Decoder(), ""
    for end in range(1, len(data) + 1):
        said += decoder.feed(data[end - 1 : end])
        held = max(n for n in range(min(end, 3) + 1) if not n or data[end - n : end] in beginnings())
        assert said == data[: end - held].decode("utf-8", "replace")
    assert said + decoder.end() == data.decode("utf-8", "replace")


@given(ALMOST, st.lists(st.integers(0, 20)))
def test_the_chunks_do_not_matter(data: bytes, sizes: list[int]) -> None:
    """However it is cut, the text is the same."""
    decoder, said, rest = Utf8Decoder(), "", data
    for size in sizes:
        said, rest = said + decoder.feed(rest[:size]), rest[size:]
    assert said + decoder.feed(rest) + decoder.end() == data.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        pytest.param("C0 AF E0 80 BF F0 81 82 41", "\ufffd" * 8 + "A", id="table 3-8: too long forms"),
        pytest.param("ED A0 80 ED BF BF ED AF 41", "\ufffd" * 8 + "A", id="table 3-9: surrogates"),
        pytest.param(
            "F4 91 92 93 FF 41 80 BF 42", "\ufffd" * 5 + "A" + "\ufffd" * 2 + "B", id="table 3-10: others"
        ),
        pytest.param("E1 80 E2 F0 91 92 F1 BF 41", "\ufffd" * 4 + "A", id="table 3-11: cut short"),
    ],
)
def test_what_is_no_utf8_is_replaced_as_unicode_recommends(encoded: str, text: str) -> None:
    """One U+FFFD stands for each maximal part of a sequence that is not well-formed."""
    decoder = Utf8Decoder()
    assert "".join(decoder.feed(bytes([byte])) for byte in bytes.fromhex(encoded)) + decoder.end() == text


def test_a_decoder_can_begin_again() -> None:
    """After the end nothing of the stream before is left."""
    decoder = Utf8Decoder()
    assert decoder.feed(b"a\xf0\x9f") == "a"
    assert decoder.end() == "\ufffd"
    assert decoder.feed(b"\x98\x80b") == "\ufffd\ufffdb"
