"""Chat completions that were stored: listed, found, noted on and deleted, through the real SDK."""

import asyncio
import json
from typing import Any

import openai
import pytest

from workbench.clock import run
from workbench.simulator import Simulator

GPT = "gpt-4o"


def asked(question: str, **options: Any) -> dict[str, Any]:
    """The arguments of a call that is to be stored."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    return {"model": GPT, "messages": messages, "store": True, **options}


async def store(client: openai.AsyncOpenAI, *questions: str, **options: Any) -> list[str]:
    """Ask, one after the other; the ids of the answers."""
    made = client.chat.completions.create
    return [(await made(**asked(question, **options))).id for question in questions]


async def listed(client: openai.AsyncOpenAI, **options: Any) -> list[str]:
    """The ids of all that are listed, over all pages."""
    return [completion.id async for completion in client.chat.completions.list(**options)]


def test_pages_go_through_all_in_their_order() -> None:
    """The list goes on page after page, oldest or newest first; what was not to be stored is not there."""

    async def main() -> None:
        client = Simulator().openai()
        ids = await store(client, "a", "b", "c", "d", "e")
        await store(client, "not this", store=False)
        for limit in (1, 2, 5, 100):
            assert await listed(client, limit=limit) == ids
            assert await listed(client, limit=limit, order="desc") == ids[::-1]
        page = await client.chat.completions.list(limit=2, after=ids[1])
        assert [one.id for one in page.data] == ids[2:4]
        assert page.has_more

    run(main)


def test_the_list_is_filtered() -> None:
    """By model, and by what was noted: each pair that is asked for must be there."""

    async def main() -> None:
        client = Simulator().openai()
        (first,) = await store(client, "a", metadata={"team": "red", "run": "1"})
        (second,) = await store(client, "b", metadata={"team": "red"}, model="gpt-5")
        assert await listed(client, metadata={"team": "red"}) == [first, second]
        assert await listed(client, metadata={"team": "red", "run": "1"}) == [first]
        assert await listed(client, metadata={"team": "blue"}) == []
        assert await listed(client, model="gpt-5") == [second]

    run(main)


def test_one_is_found_noted_on_and_deleted() -> None:
    """A stored completion is what was answered; notes replace notes; deleted, it is gone for good."""

    async def main() -> None:
        api = Simulator(lenient=True).openai().chat.completions
        answer = await api.create(**asked("Why?", metadata={"a": "1"}))
        found = await api.retrieve(answer.id)
        assert found.choices == answer.choices
        assert found.usage == answer.usage
        assert found.metadata == {"a": "1"}
        assert (await api.update(answer.id, metadata={"b": "2"})).metadata == {"b": "2"}
        assert (await api.retrieve(answer.id)).metadata == {"b": "2"}
        deleted = await api.delete(answer.id)
        assert (deleted.id, deleted.deleted, deleted.object) == (answer.id, True, "chat.completion.deleted")
        for gone in (api.retrieve(answer.id), api.delete(answer.id), api.update(answer.id, metadata={})):
            with pytest.raises(openai.NotFoundError, match=answer.id):
                await gone
        assert [one.id async for one in api.list()] == []

    run(main)


def test_its_messages_are_what_was_asked() -> None:
    """The messages of the request are listed as they were, texts and parts, page by page."""
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]

    async def main() -> None:
        client = Simulator().openai()
        messages: Any = [{"role": "user", "content": "Hi"}, {"role": "user", "content": parts, "name": "Ada"}]
        (identity,) = await store(client, "?", messages=messages)
        api = client.chat.completions.messages
        found = [message.to_dict() async for message in api.list(identity, limit=1)]
        assert [one["content"] for one in found] == ["Hi", None]
        assert [one["content_parts"] for one in found] == [None, parts]
        assert [one["name"] for one in found] == [None, "Ada"]
        assert len({one["id"] for one in found}) == 2
        backwards = [message.id async for message in api.list(identity, order="desc")]
        assert backwards == [one["id"] for one in found][::-1]
        with pytest.raises(openai.NotFoundError):
            await api.list("chatcmpl-unknown")

    run(main)


def test_it_is_there_once_it_is_complete() -> None:
    """A stream is stored at its end; one that its reader has left is not."""

    async def main() -> None:
        client = Simulator(script="one two three " * 20).openai()
        stream: Any = await client.chat.completions.create(**asked("a", stream=True))
        first = await anext(stream)
        assert await listed(client) == []
        async for _ in stream:
            pass
        assert await listed(client) == [first.id]
        assert (await client.chat.completions.retrieve(first.id)).choices[0].message.content
        stream = await client.chat.completions.create(**asked("b", stream=True))
        await anext(stream)
        await stream.close()
        await asyncio.sleep(60)
        assert await listed(client) == [first.id]

    run(main)


def test_each_key_has_its_own() -> None:
    """What one key has stored, no other sees."""

    async def main() -> None:
        sim = Simulator()
        (identity,) = await store(sim.openai(api_key="a"), "?")
        other = sim.openai(api_key="b")
        assert await listed(other) == []
        with pytest.raises(openai.NotFoundError):
            await other.chat.completions.retrieve(identity)

    run(main)


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"limit": 0}, "Expected a value >= 1, but got 0"),
        ({"limit": 101}, "Expected a value <= 100, but got 101"),
        ({"limit": "many"}, "expected an integer, but got 'many'"),
        ({"order": "random"}, "Supported values are: 'asc' and 'desc'"),
    ],
)
def test_a_wrong_query_is_refused(query: Any, complaint: str) -> None:
    """A page of no or too many objects, or in no order, is refused."""

    async def main() -> None:
        with pytest.raises(openai.BadRequestError, match=complaint):
            await Simulator().openai().chat.completions.list(**query)

    run(main)


def test_wrong_notes_are_refused() -> None:
    """Metadata are texts, short enough."""

    async def main() -> None:
        client = Simulator().openai()
        (identity,) = await store(client, "?")
        with pytest.raises(openai.BadRequestError, match=r"'metadata\.a'"):
            await client.chat.completions.update(identity, metadata={"a": "b" * 513})

    run(main)


def test_what_nobody_stored_is_made_up_if_lenient() -> None:
    """A lenient provider makes up what was never there, by seed and id; a strict one does not."""

    async def main() -> list[str]:
        api = Simulator(seed=3, lenient=True).openai(_strict_response_validation=True).chat.completions
        made_up = await api.retrieve("completion_id")
        assert made_up.id == "completion_id"
        assert made_up.choices[0].message.content
        assert (await api.delete("completion_id")).deleted
        assert (await api.update("completion_id", metadata={"a": "b"})).metadata == {"a": "b"}
        assert [one async for one in api.list(limit=0)] == []
        with pytest.raises(openai.NotFoundError):
            await Simulator().openai().chat.completions.retrieve("completion_id")
        return [made_up.to_json(), (await api.retrieve("other")).to_json()]

    (one, other), (again, _) = run(main), run(main)
    assert one == again
    assert json.loads(one)["choices"] != json.loads(other)["choices"]
