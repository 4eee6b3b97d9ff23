"""What a program gets of a stream that is not as it should be: docs/streams.md, row by row."""

import re
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from workbench import errors
from workbench.clock import run
from workbench.events import Accumulator
from workbench.messages import Message, Request
from workbench.providers import AnthropicProvider, OpenAIProvider
from workbench.simulator import Faults, Simulator

PAGE = (Path(__file__).parent.parent / "docs" / "streams.md").read_text(encoding="utf-8")
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-5"}
SAID = "Grüße aus Zürich: 日本 and thanks for all the fish."
ASKED: Any = [{"role": "user", "content": "?"}]
PATIENCE = 5.0

FAULTS = {
    "the connection breaks": Faults(disconnect_rate=1),
    "nothing comes for longer than the read timeout": Faults(stall_rate=1),
    "an event is no JSON": Faults(malformed_rate=1),
    "a chunk ends inside a character": Faults(split_characters=True),
}
ERRORS = {
    "openai": b'data: {"error":{"message":"Sorry.","type":"server_error","param":null,"code":null}}\n\n',
    "anthropic": b"event: error\n"
    b'data: {"type":"error","error":{"type":"overloaded_error","message":"Sorry."}}\n\n',
}
NOVELTY = b'event: novelty\ndata: {"type":"novelty","object":"novelty"}\n\n'


def rows() -> list[tuple[str, str, str, str]]:
    """(provider, what comes, way to read it, what is raised) of each cell."""
    found = []
    for kind, table in re.findall(r"## `(\w+)`\n+((?:\|.*\n)+)", PAGE):
        head, _, *lines = table.strip().splitlines()
        ways = [cell.strip(" `") for cell in head.strip("|").split("|")][1:]
        for line in lines:
            case, *cells = (cell.strip(" `") for cell in line.strip("|").split("|"))
            found += [(kind, case, way, cell) for way, cell in zip(ways, cells, strict=True)]
    return found


def edited(case: str, kind: str, data: bytes) -> bytes:
    """The bytes of a stream, changed as the case wants."""
    events = re.findall(rb".*?\n\n", data, re.DOTALL)
    middle = len(events) // 2
    return b"".join(
        {
            "it ends without its end mark": events[:-1],
            "it ends in the middle": events[:middle],
            "it is empty": [],
            "an event of an unknown type comes": [*events[:middle], NOVELTY, *events[middle:]],
            "an event says an error": [*events[:middle], ERRORS[kind]],
        }[case]
    )


async def recorded(kind: str) -> bytes:
    """The bytes of a stream that is as it should be."""
    client: Any = getattr(Simulator(script=SAID), kind)()
    api = (client.chat.completions if kind == "openai" else client.messages).with_streaming_response
    async with api.create(model=MODELS[kind], messages=ASKED, max_tokens=99, stream=True) as response:
        return bytes(await response.read())


async def client_for(case: str, kind: str) -> Any:
    """A client to which a stream comes as the case wants."""
    if case in FAULTS:
        return getattr(Simulator(seed=2, script=SAID, faults=FAULTS[case]), kind)(
            timeout=PATIENCE, max_retries=0
        )
    data = edited(case, kind, await recorded(kind))

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    sdk: Any = {"openai": openai.AsyncOpenAI, "anthropic": anthropic.AsyncAnthropic}[kind]
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return sdk(api_key="k", base_url="http://x.invalid", http_client=http, max_retries=0)


def text_of(item: Any) -> str:
    """What an item of an SDK's own stream adds to the text."""
    if hasattr(item, "choices"):
        return "".join(choice.delta.content or "" for choice in item.choices or ())
    return getattr(getattr(item, "delta", None), "text", "")


async def read(way: str, kind: str, client: Any) -> str:
    """Read a stream to its end, in one of the ways of the table; what it said."""
    if way.endswith("Provider"):
        adapter: Any = {"openai": OpenAIProvider, "anthropic": AnthropicProvider}[kind]
        so_far = Accumulator()
        request = Request(model=MODELS[kind], messages=(Message(role="user", content="?"),))
        async for event in adapter(client).stream(request):
            so_far.add(event)
        return so_far.completion().text
    api = client.chat.completions if kind == "openai" else client.messages
    asked = {"model": MODELS[kind], "messages": ASKED, "max_tokens": 99}
    if way == "create(stream=True)":
        return "".join([text_of(item) async for item in await api.create(**asked, stream=True)])
    async with api.stream(**asked) as stream:
        if kind == "openai":
            return (await stream.get_final_completion()).choices[0].message.content or ""
        return str(await stream.get_final_text())


WHOLE, PART = "the whole text", "a part, as if it were all"


async def outcome(case: str, kind: str, way: str) -> tuple[str, str]:
    """What a program gets, as the table says it, and the text that it has."""
    client = await client_for(case, kind)
    try:
        said = await read(way, kind, client)
    except errors.StreamInterruptedError as error:
        return type(error).__name__, error.partial
    except Exception as error:  # which one is the question
        module = type(error).__module__.split(".")[0]
        return f"{module}.{type(error).__name__}".removeprefix("builtins."), ""
    return WHOLE if said == SAID else PART, said


@pytest.mark.parametrize(("kind", "case", "way", "expected"), rows())
def test_a_program_gets_what_the_table_says(kind: str, case: str, way: str, expected: str) -> None:
    """Each cell is what the SDK, or our provider, does; what has come is kept."""
    got, said = run(lambda: outcome(case, kind, way))
    assert got == expected
    assert SAID.startswith(said)
    if got == "StreamInterruptedError" and case not in ("it is empty", "it ends without its end mark"):
        assert len(said) < len(SAID)


def test_the_table_is_whole() -> None:
    """Both SDKs are held to every case, in every way."""
    cases = {case for _, case, _, _ in rows()}
    assert len(cases) == 9
    assert len(rows()) == 2 * 9 * 3
    assert cases >= FAULTS.keys()
