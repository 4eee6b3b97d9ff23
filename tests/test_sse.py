"""Server-sent events: the WHATWG algorithm, whatever the chunks."""

import json
import re
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import EventTooLargeError
from workbench.wire import sse
from workbench.wire.sse import Decoder, ServerSentEvent

# What the standard gives a meaning to, and what might be taken for it.
FIELDS = ["data", "event", "id", "retry", "Data", ":", ": ", " ", "12", "x", "é😀", "\0"]
LINES = ["\n", "\n\n", "\r", "\r\n", "data: a\n", "data:b\r\n", "event: e\n", "id: 1\n", "retry: 9\r"]
BYTES = [b"\xff", b"\xf0\x9f", b"\xef\xbb\xbf"]
STREAMS = st.lists(st.sampled_from([*map(str.encode, FIELDS + LINES * 2), *BYTES])).map(b"".join)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))
ID = LINE.filter(lambda text: "\0" not in text)


def events_of(chunks: Iterable[bytes], max_event_bytes: int = 10**6) -> list[ServerSentEvent]:
    decoder = Decoder(max_event_bytes=max_event_bytes)
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    places = sorted({place % (len(data) + 1) for place in places})
    for begin, until in zip([0, *places], [*places, len(data)], strict=True):
        yield data[begin:until]


def by_the_standard(stream: bytes) -> tuple[list[ServerSentEvent], str, int | None]:
    """Section 9.2.6, word for word and slowly: the events, the last event id, the reconnection time."""
    text = stream.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    events: list[ServerSentEvent] = []
    data = event_type = id_buffer = last_event_id = ""
    retry = None
    *lines, _ = re.split("\r\n|\n|\r", text)  # a line that has not ended is none
    for line in lines:
        if line == "":
            last_event_id = id_buffer
            if data == "":
                event_type = ""
                continue
            data = data.removesuffix("\n")
            events.append(ServerSentEvent(data, event_type or "message", last_event_id))
            data = event_type = ""
        elif line.startswith(":"):
            pass
        else:
            field, colon, value = line.partition(":")
            if colon and value.startswith(" "):
                value = value[1:]
            if field == "event":
                event_type = value
            elif field == "data":
                data += value + "\n"
            elif field == "id" and "\0" not in value:
                id_buffer = value
            elif field == "retry" and re.fullmatch("[0-9]+", value):
                retry = int(value)
    return events, last_event_id, retry


@given(STREAMS, st.lists(st.integers(0, 200)))
def test_any_stream_is_read_as_the_standard_says_however_it_is_cut(stream: bytes, places: list[int]) -> None:
    """Whole, byte by byte and cut anywhere, a stream says what the standard makes of it."""
    expected = by_the_standard(stream)
    for chunks in ([stream], [stream[i : i + 1] for i in range(len(stream))], cut(stream, places)):
        decoder = Decoder()
        events = [event for chunk in chunks for event in decoder.feed(chunk)]
        decoder.end()
        assert (events, decoder.last_event_id, decoder.retry_ms) == expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(
            "data: This is the first message.\n\n"
            "data: This is the second message, it\ndata: has two lines.\n\n"
            "data: This is the third message.\n\n",
            [
                ("This is the first message.", "message", ""),
                ("This is the second message, it\nhas two lines.", "message", ""),
                ("This is the third message.", "message", ""),
            ],
            id="messages",
        ),
        pytest.param(
            "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
            [("73857293", "add", ""), ("2153", "remove", ""), ("113411", "add", "")],
            id="names",
        ),
        pytest.param(
            "data: YHOO\ndata: +2\ndata: 10\n\n", [("YHOO\n+2\n10", "message", "")], id="three lines"
        ),
        pytest.param(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [
                ("first event", "message", "1"),
                ("second event", "message", ""),
                (" third event", "message", ""),
            ],
            id="a comment, an id that is reset, one space",
        ),
        pytest.param(
            "data\n\ndata\ndata\n\ndata:",
            [("", "message", ""), ("\n", "message", "")],
            id="empty data, no end",
        ),
        pytest.param(
            "data:test\n\ndata: test\n\n", [("test", "message", ""), ("test", "message", "")], id="same twice"
        ),
        pytest.param(
            "\ufeffdata: a\n\n\ufeffdata: b\n\n",
            [("a", "message", "")],
            id="one byte order mark, at the start",
        ),
        pytest.param(
            "id: 1\n\nid: 2\0\ndata: a\n\nid: 3\n\ndata: b\n\n",
            [("a", "message", "1"), ("b", "message", "3")],
            id="ids without data, an id with NUL",
        ),
        pytest.param("event: e\n\ndata: a\n\n", [("a", "message", "")], id="a name without data"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_the_examples_of_the_standard(
    stream: str, expected: list[tuple[str, str, str]], line_end: str
) -> None:
    """The examples of section 9.2, and what they leave out, mean what it says, with each kind of line end."""
    encoded = stream.replace("\n", line_end).encode()
    assert events_of([encoded]) == expected
    assert events_of(encoded[i : i + 1] for i in range(len(encoded))) == expected


@given(st.lists(st.builds(ServerSentEvent, TEXT, LINE, ID)), st.integers(0, 99))
def test_what_is_encoded_is_decoded_to_the_same(events: list[ServerSentEvent], size: int) -> None:
    """Events come back as they were; CR and CRLF are line ends, and a name is "message" if it is empty."""
    stream = b"".join(sse.encode(*event) for event in events)
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)] if size else [stream]
    assert events_of(chunks) == [
        ServerSentEvent(re.sub("\r\n|\r", "\n", event.data), event.event or "message", event.id)
        for event in events
    ]


def test_an_event_comes_as_soon_as_its_last_byte() -> None:
    """No event waits for what follows it, not even where a CRLF may be cut in two."""
    for line_end in (b"\n", b"\r", b"\r\n"):
        stream = b"data: a" + 2 * line_end + b"data: b" + 2 * line_end
        decoder = Decoder()
        first = next(i for i in range(len(stream)) if decoder.feed(stream[i : i + 1]))
        # CR CR, CR LF CR and LF LF are each the whole of an empty line.
        assert first == len(b"data: a") + (2 if line_end == b"\r\n" else 1)


def test_a_name_or_id_that_would_begin_another_line_is_refused() -> None:
    """What a name or an id says cannot become a field of its own."""
    for wrong in ("a\nb", "a\rb"):
        with pytest.raises(ValueError, match=r"event is one line.*'a\\[nr]b'"):
            sse.encode("x", wrong)
        with pytest.raises(ValueError, match="id is one line"):
            sse.encode("x", id=wrong)
    with pytest.raises(ValueError, match="NUL"):
        sse.encode("x", id="a\0")


def test_ids_and_retry_times_outlive_a_stream() -> None:
    """A client that comes back knows the last id and the time to wait; what was incomplete is gone."""
    decoder = Decoder()
    assert decoder.feed(sse.encode("a", id="7", retry_ms=1500)) == [("a", "message", "7")]
    assert decoder.feed(b"data: lost\nid: 8\nretry: 20\n") == []
    decoder.end()
    assert (decoder.last_event_id, decoder.retry_ms) == ("7", 20)
    assert decoder.feed(b"\xef\xbb\xbfdata: b\n\n") == [("b", "message", "")]
    assert decoder.last_event_id == ""
    decoder.end()
    assert decoder.feed(b"\xef\xbb\xbfretry: 30\n") == []
    decoder.end()
    assert decoder.retry_ms == 30
    assert decoder.feed(b"retry: 1s\n\nretry: " + b"9" * 5000 + b"\n\n") == []
    assert decoder.retry_ms == 30


@given(st.sampled_from(["data: x", "id: x", ": x", "data: x\ndata: y", "x"]), st.integers(0, 40), st.data())
def test_too_long_is_refused_however_it_is_cut(stem: str, size: int, data: st.DataObject) -> None:
    """A line or an event's data above the limit is refused, at it not, and the chunks do not matter."""
    block = f"{stem}{'z' * size}".encode()
    stream = b"\xef\xbb\xbfdata: ok\n\n" + 2 * (block + b"\n\n")
    longest = max(len("\ufeffdata: ok".encode()), len(block))
    cuts = cut(stream, data.draw(st.lists(st.integers(0, 200))))
    for chunks in ([stream], [stream[i : i + 1] for i in range(len(stream))], list(cuts)):
        assert events_of(chunks, longest) == events_of([stream])
        with pytest.raises(EventTooLargeError, match=f"which is {longest - 1}: is this"):
            events_of(chunks, longest - 1)


@pytest.mark.parametrize("chunk", [b"x" * 1000, b"data: " + b"x" * 993 + b"\n"], ids=["line", "event"])
def test_a_stream_without_end_is_refused_before_it_fills_the_memory(chunk: bytes) -> None:
    """Neither a line that never ends nor an event that never ends is kept beyond the limit."""
    with pytest.raises(EventTooLargeError, match="10,000"):
        events_of([chunk] * 12, 10_000)


def test_both_sdks_read_what_is_encoded() -> None:
    """The decoders of both SDKs agree with ours about what the wire formats send."""
    from anthropic._streaming import SSEDecoder as AnthropicDecoder
    from openai._streaming import SSEDecoder as OpenAIDecoder

    said = [json.dumps({"text": text}, ensure_ascii=False) for text in ("é😀", "a\nb", " ", "x" * 999)]
    stream = b"".join(sse.encode(data, event) for data in said for event in ("delta", None))
    chunks = [stream[i : i + 7] for i in range(0, len(stream), 7)]
    ours = [(event.event, event.data) for event in events_of(chunks)]
    for decoder in (AnthropicDecoder(), OpenAIDecoder()):
        assert [(e.event or "message", e.data) for e in decoder.iter_bytes(iter(chunks))] == ours
