"""Server-sent events decoded in pure Python: MB/s, beside httpx2's own decoder, httpx-sse and both SDKs'."""

import codecs
import time
from collections.abc import Callable, Iterator
from statistics import median

import anthropic._streaming
import httpx2._sse
import openai._streaming

from workbench.events import Finished, Started, TextDelta
from workbench.messages import Message, Request, Usage
from workbench.wire import anthropic_answer, openai_answer, sse
from workbench.wire.dialect import Call

EVENTS, ROUNDS = 2_000, 15
CHUNKS = {"a chunk an event": 0, "64 bytes": 64, "1,460 bytes": 1460, "65,536 bytes": 65_536}


def streams() -> dict[str, list[bytes]]:
    """Two thousand tokens in each provider's wire format, one chunk a token."""
    request = Request(model="m", messages=(Message(role="user", content="?"),))
    found = {}
    for name, encoder in (
        ("OpenAI", openai_answer.StreamEncoder),
        ("Anthropic", anthropic_answer.StreamEncoder),
    ):
        encode = encoder(Call(request, stream=True), 0, 9).encode
        deltas = [TextDelta(text=f" wörd{index}") for index in range(EVENTS)]
        head = encode(Started(id="chatcmpl-0123456789abcdef", model="m"))
        said = [encode(delta) for delta in deltas]
        found[name] = [head + said[0], *said[1:], encode(Finished(stop_reason="stop", usage=Usage()))]
    return found


def ours(chunks: list[bytes]) -> int:
    decoder = sse.Decoder()
    return sum(len(decoder.feed(chunk)) for chunk in chunks)


def openai_sdk(chunks: list[bytes]) -> int:
    return sum(1 for _ in openai._streaming.SSEDecoder().iter_bytes(iter(chunks)))


def anthropic_sdk(chunks: list[bytes]) -> int:
    return sum(1 for _ in anthropic._streaming.SSEDecoder().iter_bytes(iter(chunks)))


def httpx2_own(chunks: list[bytes]) -> int:
    text = codecs.getincrementaldecoder("utf-8")("replace").decode
    parser = httpx2._sse._SSEParser(16 * 2**20)
    return sum(1 for chunk in chunks for _ in parser.decode(text(chunk)))


def httpx_sse(chunks: list[bytes]) -> int:
    from httpx_sse._decoders import SSEDecoder, SSELineDecoder

    text = codecs.getincrementaldecoder("utf-8")("replace").decode
    lines, decoder = SSELineDecoder(), SSEDecoder()
    decoded = (decoder.decode(line) for chunk in chunks for line in lines.decode(text(chunk)))
    return sum(event is not None for event in decoded)


def cut(chunks: list[bytes], size: int) -> list[bytes]:
    whole = b"".join(chunks)
    return [whole[i : i + size] for i in range(0, len(whole), size)] if size else chunks


def seconds(decode: Callable[[list[bytes]], int], chunks: list[bytes]) -> float:
    start = time.process_time()
    decode(chunks)
    return time.process_time() - start


def decoders() -> Iterator[Callable[[list[bytes]], int]]:
    yield from (ours, openai_sdk, anthropic_sdk, httpx2_own)
    try:
        import httpx_sse as _  # noqa: F401
    except ImportError:
        return
    yield httpx_sse


def main() -> list[dict[str, object]]:
    ways = list(decoders())
    print(f"{'MB/s':28}" + "".join(f"{way.__name__:>15}" for way in ways))
    rows: list[dict[str, object]] = []
    for wire, stream in streams().items():
        for how, size in CHUNKS.items():
            chunks = cut(stream, size)
            assert len({way(chunks) for way in ways}) == 1, "they do not agree"
            spent = [[seconds(way, chunks) for way in ways] for _ in range(ROUNDS)]
            megabytes = sum(map(len, chunks)) / 1e6
            speeds = [round(megabytes / median(column), 1) for column in zip(*spent, strict=True)]
            rows.append(
                {"what": f"{wire}, {how}", **{w.__name__: s for w, s in zip(ways, speeds, strict=True)}}
            )
            print(f"{wire + ', ' + how:28}" + "".join(f"{speed:15.1f}" for speed in speeds))
    return rows


if __name__ == "__main__":
    main()
