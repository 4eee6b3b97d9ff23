"""Embeddings through the real SDK: near where texts are near, and the same bytes always."""

import asyncio
import base64
import bisect
import collections
import contextlib
import dataclasses
import difflib
import functools
import hashlib
import heapq
import inspect
import itertools
import json
import queue
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from workbench.clock import run
from workbench.simulator import Faults, RateLimits, Simulator
from workbench.simulator.vectors import embed
from workbench.tokens import count

SMALL, LARGE, ADA = "text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"
SIZES = {SMALL: 1536, LARGE: 3072, ADA: 1536}
Vectors = NDArray[np.float64]


def ask(sim: Simulator, given_: Any, **options: Any) -> Any:
    """The answer, by the real SDK, strict, in virtual time."""

    async def main() -> Any:
        client = sim.openai(max_retries=0, _strict_response_validation="encoding_format" in options)
        return await client.embeddings.create(**{"model": SMALL, "input": given_, **options})

    return run(main)


def vectors(given_: Any, **options: Any) -> Vectors:
    """A row for each input."""
    return np.array([one.embedding for one in ask(Simulator(), given_, **options).data])


# -- what they mean ------------------------------------------------------------------------------------

MODULES: list[ModuleType] = [
    *(
        asyncio,
        base64,
        bisect,
        collections,
        contextlib,
        dataclasses,
        difflib,
        functools,
        heapq,
        itertools,
        json,
    ),
    *(queue, random, shutil, statistics, subprocess, tempfile, textwrap, threading),
]
ASKED = {
    "asyncio.gather": "run several coroutines at the same time and collect their results in order",
    "asyncio.wait_for": "wait for a coroutine, and cancel it when a timeout has passed",
    "asyncio.shield": "protect a task from being cancelled",
    "asyncio.Semaphore": "a counter that bounds how many may acquire it before someone has to release",
    "asyncio.to_thread": "call a blocking function in another thread",
    "heapq.nlargest": "find the n largest elements of a dataset",
    "heapq.heappush": "push an item on a heap while keeping the invariant",
    "bisect.insort_left": "insert an item into a sorted list and keep it sorted",
    "shutil.copytree": "copy a directory tree recursively",
    "shutil.rmtree": "delete a whole directory tree",
    "tempfile.TemporaryDirectory": "create a temporary directory that is removed when the context ends",
    "functools.lru_cache": "least-recently-used cache decorator",
    "statistics.stdev": "square root of the sample variance",
    "statistics.median": "the middle value of numeric data",
    "textwrap.dedent": "remove common leading whitespace from every line of a text",
    "difflib.get_close_matches": "find the best matches of a word in a list of possibilities",
    "subprocess.run": "run a command and return a completed process with its return code and captured output",
    "contextlib.suppress": "a context manager that suppresses specified exceptions",
    "collections.OrderedDict": "a dictionary that remembers insertion order",
    "json.loads": "deserialise a JSON document from a str or bytes into a Python object",
}
RELATED = [
    ("asyncio.Semaphore", "threading.Semaphore"),
    ("asyncio.Condition", "threading.Condition"),
    ("heapq.nlargest", "heapq.nsmallest"),
    ("bisect.insort_left", "bisect.insort_right"),
    ("json.dump", "json.dumps"),
    ("statistics.stdev", "statistics.pstdev"),
    ("subprocess.run", "subprocess.CompletedProcess"),
]


def documents() -> dict[str, str]:
    """The docstrings of what the modules define, by name."""
    found = {}
    for module in MODULES:
        for name, thing in inspect.getmembers(module, callable):
            text = inspect.getdoc(thing) or ""
            own = str(getattr(thing, "__module__", "")).lstrip("_").split(".")[0] == module.__name__
            if own and not name.startswith("_") and len(text) > 60:
                found[f"{module.__name__}.{name}"] = text
    return found


@pytest.mark.parametrize(("options", "first", "tenth"), [({}, 0.4, 0.85), ({"dimensions": 256}, 0.35, 0.75)])
def test_a_question_finds_its_docstring(options: dict[str, Any], first: float, tenth: float) -> None:
    """Of hundreds of docstrings the right one is among the first ten for most questions in other words."""
    texts = documents()
    assert len(texts) > 200
    names, rows = list(texts), vectors(list(texts.values()), **options)
    asked = {name: question for name, question in ASKED.items() if name in texts}
    assert len(asked) > 15
    ranks = []
    for name, question in zip(asked, vectors(list(asked.values()), **options), strict=True):
        near = rows @ question
        ranks.append(1 + int((near > near[names.index(name)]).sum()))
    assert sum(rank == 1 for rank in ranks) >= first * len(ranks), ranks
    assert sum(rank <= 10 for rank in ranks) >= tenth * len(ranks), ranks


def test_related_docstrings_are_near() -> None:
    """Docstrings of kindred things are nearer to each other than 95 % of all the others are."""
    texts = documents()
    names, rows = list(texts), vectors(list(texts.values()))
    for one, other in RELATED:
        near = rows @ rows[names.index(one)]
        assert (near < near[names.index(other)]).mean() > 0.95, (one, other)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        pytest.param(
            "Wie starte ich fehlgeschlagene Anfragen nach einer Wartezeit neu?",
            "Fehlgeschlagene Anfrage: erst warten, dann neu starten",
            "Der Zug nach Zürich fährt heute zwanzig Minuten später ab.",
            id="German",
        ),
        pytest.param("東京の天気はどうですか", "明日の東京の天気", "鍵を机の上に置いた", id="Japanese"),
        pytest.param("如何限制并发请求的数量", "限制并发请求", "今天晚上我们吃什么", id="Chinese"),
        pytest.param(
            "동시 요청 수를 제한하는 방법", "동시 요청의 제한", "오늘 저녁에 뭐 먹을까", id="Korean"
        ),
        pytest.param(
            "retryPolicy.maxAttempts", "the retry policy’s max attempts", "a bag of words", id="code"
        ),
        pytest.param("🙂 🙂 fine", "fine 🙂", "red herring 🐟", id="signs"),
    ],
)
def test_any_language_is_understood(text: str, near: str, far: str) -> None:
    """A paraphrase is much nearer than another sentence of the same language."""
    one, paraphrase, other = vectors([text, near, far])
    assert one @ paraphrase > 0.25
    assert one @ paraphrase > 2 * abs(one @ other)


def test_what_comes_often_does_not_drown_the_rest() -> None:
    """A word that comes sixteen times does not count sixteen times."""
    often, rare = vectors(["jitter " * 16 + "breaker", "breaker"])
    assert 0.15 < often @ rare < 0.5


@given(st.text(max_size=30), st.sampled_from(sorted(SIZES)), st.none() | st.integers(1, 1536))
def test_any_text_has_a_vector_of_length_one(text: str, model: str, kept: int | None) -> None:
    """No text cancels itself out, however few dimensions are kept, and no two are the same."""
    vector = embed(text, model, SIZES[model], kept).astype(np.float64)
    assert vector.shape == (kept or SIZES[model],)
    assert np.isfinite(vector).all()
    assert vector @ vector == pytest.approx(1, abs=1e-5)
    if kept is None:
        assert vector @ embed(f"{text}.", model, SIZES[model]) < 1 - 1e-6


# -- how they are asked for ----------------------------------------------------------------------------


def test_numbers_and_bytes_say_the_same() -> None:
    """Asked for as floats, as base64, or not at all: the same vector to the last bit."""
    numbers = ask(Simulator(), "hello", encoding_format="float").data[0].embedding
    unasked = ask(Simulator(seed=9), "hello").data[0].embedding
    assert numbers == unasked

    async def main() -> Any:
        client = Simulator().openai()
        return await client.embeddings.create(model=SMALL, input="hello", encoding_format="base64")

    coded: Any = run(main).data[0].embedding
    assert np.frombuffer(base64.b64decode(coded), dtype="<f4").tolist() == numbers


def test_float_embeddings_are_always_numbers() -> None:
    """A provider may be told to answer by numbers, whatever the SDK asks for by itself."""

    async def main() -> Any:
        client = Simulator(float_embeddings=True).openai(_strict_response_validation=True)
        return await client.embeddings.create(model=SMALL, input="hello")

    assert run(main).data[0].embedding == ask(Simulator(), "hello").data[0].embedding


def test_the_same_text_has_the_same_bytes_in_any_process() -> None:
    """Neither a seed nor a process nor a machine changes what a text means."""
    digest = hashlib.sha256(embed("naïve 日本 text", LARGE, 3072).tobytes()).hexdigest()
    assert digest.startswith("6797056e")


@pytest.mark.parametrize("dimensions", [1, 2, 256, 1536])
def test_fewer_dimensions_are_the_first_ones(dimensions: int) -> None:
    """A shortened vector is the beginning of the whole one, made as long again."""
    (whole,), (short,) = vectors("Why retry?"), vectors("Why retry?", dimensions=dimensions)
    kept = whole[:dimensions]
    assert short == pytest.approx(kept / np.linalg.norm(kept), abs=1e-6)


def test_each_input_has_its_vector() -> None:
    """Many inputs are answered in their order, each as if it had been alone; models differ."""
    answer = ask(Simulator(), ["one", "two", "one"])
    assert [one.index for one in answer.data] == [0, 1, 2]
    first, second, third = (one.embedding for one in answer.data)
    assert first == third != second
    assert first == ask(Simulator(), "one").data[0].embedding
    assert answer.model == SMALL
    assert len(vectors("one", model=LARGE)[0]) == 3072
    assert abs(vectors("one", model=ADA)[0] @ np.array(first)) < 0.2


@pytest.mark.skipif(find_spec("splintr") is None, reason="the tokenizer has no wheel for this machine")
def test_tokens_stand_for_their_text() -> None:
    """Inputs may be tokens of cl100k_base, one list or many."""
    hello = [15339, 1917]  # "hello world"
    one, many = ask(Simulator(), hello), ask(Simulator(), [hello, hello[:1]])
    assert one.usage.prompt_tokens == 2
    assert many.usage.prompt_tokens == 3
    assert many.data[0].embedding == one.data[0].embedding
    assert one.data[0].embedding == ask(Simulator(), "hello world").data[0].embedding
    for nothing in ([10**9], [-1]):
        with pytest.raises(openai.BadRequestError, match="no token"):
            ask(Simulator(), nothing)


def test_without_a_tokenizer_tokens_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tokens cannot be read, inputs are near that have some in common."""
    monkeypatch.setattr("workbench.wire.openai_embeddings.find_spec", lambda name: None)
    one, near, far = vectors([[15339, 1917], [15339, 1918], [7, 8]])
    assert one @ near > 0.4 > abs(one @ far)


@pytest.mark.parametrize(
    ("given_", "options", "complaint"),
    [
        ("", {}, "must not be empty"),
        ([], {}, "must not be empty"),
        (["a", ""], {}, "must not be empty"),
        ([[]], {}, "must not be empty"),
        ([1.5], {}, "input"),
        (["a"] * 2049, {}, "maximum length 2048, but got an array with length 2049"),
        ("word " * 9000, {}, "maximum context length is 8192 tokens"),
        (["word " * 8000] * 40, {}, "300000 tokens per request"),
        ("a", {"dimensions": 0}, "'dimensions'"),
        ("a", {"dimensions": 1537}, "less than or equal to 1536"),
        ("a", {"dimensions": 1536, "model": ADA}, "does not support specifying dimensions"),
        ("a", {"encoding_format": "int8"}, "'encoding_format'"),
    ],
)
def test_wrong_requests_are_refused(given_: Any, options: dict[str, Any], complaint: str) -> None:
    """What is empty, too long, too much, or not known is refused in OpenAI's words."""
    with pytest.raises(openai.BadRequestError, match=complaint):
        ask(Simulator(), given_, **options)


def test_they_are_charged_and_take_their_time() -> None:
    """Tokens count against the limits and in the usage; reading takes time; the log knows."""
    sim = Simulator(limits=RateLimits(requests=2, tokens=100_000))
    assert ask(sim, "word " * 40).usage.prompt_tokens == count("word " * 40)
    ask(sim, ["word " * 8000] * 5)
    short, long = sim.log
    assert long.duration > short.duration + 0.1
    assert (short.model, short.outcome, short.tokens) == (SMALL, "ok", ())
    assert long.input_tokens == 5 * count("word " * 8000)
    with pytest.raises(
        openai.RateLimitError, match=f"{SMALL} in organization org-simulated on requests per min"
    ):
        ask(sim, "one more")
    with pytest.raises(openai.InternalServerError):
        ask(Simulator(faults=Faults(error_rate=1)), "?")


def test_numpy_is_loaded_when_it_is_needed() -> None:
    """Importing the simulator loads no numpy."""
    code = "import sys, workbench.simulator; print('numpy' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"
