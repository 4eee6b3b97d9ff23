"""OpenAI's models through the real SDK."""

from datetime import date
from typing import Any

import openai
import pytest

from workbench.clock import run
from workbench.simulator import CATALOG, ModelProfile, Simulator

TUNED = ModelProfile(name="ft:gpt-4o-mini:acme::abc", provider="openai", released=date(2025, 3, 1))


def client(**options: Any) -> openai.AsyncOpenAI:
    """A client that validates strictly, of a simulator with a fine-tuned model."""
    return Simulator(models=[TUNED], **options).openai(_strict_response_validation=True, max_retries=0)


def test_what_is_offered_is_listed() -> None:
    """The list has OpenAI's models and those added, each with its date and owner."""

    async def main() -> None:
        models = {model.id: model async for model in client().models.list()}
        assert list(models) == [*(m.name for m in CATALOG if m.provider == "openai"), TUNED.name]
        assert models["gpt-4o"].created == 1715558400  # 2024-05-13
        assert models["gpt-4o"].owned_by == "system"
        assert models[TUNED.name].owned_by == "org-simulated"
        assert await client().models.retrieve("gpt-4o") == models["gpt-4o"]

    run(main)


def test_a_fine_tuned_model_may_go() -> None:
    """Deleted, it is neither listed nor asked again, not even by a lenient provider."""

    async def main() -> None:
        api = client(lenient=True)
        deleted = await api.models.delete(TUNED.name)
        assert (deleted.id, deleted.deleted) == (TUNED.name, True)
        assert TUNED.name not in [model.id async for model in api.models.list()]
        messages: Any = [{"role": "user", "content": "?"}]
        for gone in (
            api.models.retrieve(TUNED.name),
            api.models.delete(TUNED.name),
            api.chat.completions.create(model=TUNED.name, messages=messages),
        ):
            with pytest.raises(openai.NotFoundError, match="does not exist"):
                await gone

    run(main)


def test_no_other_model_goes() -> None:
    """A base model stays, whoever asks; one that is not there cannot go."""

    async def main() -> None:
        api = client()
        with pytest.raises(openai.PermissionDeniedError, match="insufficient permissions"):
            await api.models.delete("gpt-4o")
        assert (await api.models.retrieve("gpt-4o")).id == "gpt-4o"
        with pytest.raises(openai.NotFoundError):
            await api.models.delete("ft:unknown")

    run(main)


def test_a_lenient_provider_knows_any_model() -> None:
    """What was never seen is there, and may go again and again."""

    async def main() -> None:
        api = client(lenient=True)
        assert (await api.models.retrieve("gpt-99")).id == "gpt-99"
        for _ in range(2):
            assert (await api.models.delete("ft:unknown")).deleted

    run(main)


def test_each_kind_of_model_has_its_endpoint() -> None:
    """A model that makes embeddings does not chat, and one that chats makes no embeddings."""

    async def main() -> None:
        api = client(lenient=True)
        messages: Any = [{"role": "user", "content": "?"}]
        with pytest.raises(openai.NotFoundError, match="makes embeddings"):
            await api.chat.completions.create(model="text-embedding-3-small", messages=messages)
        with pytest.raises(openai.NotFoundError, match="makes no embeddings"):
            await api.embeddings.create(model="gpt-4o", input="?")

    run(main)
