"""Embeddings, both indexes, fusion and the reranker, by the real SDK client and a real database."""

import asyncio
import threading
from pathlib import Path

import aiosqlite
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import RateLimits, Simulator, now, run
from workbench.errors import AuthenticationError, ProviderTimeoutError, RateLimitError
from workbench.rag import (
    Chunk,
    Embedder,
    LabelledQuestion,
    LexicalIndex,
    VectorIndex,
    connect,
    fuse,
    labelled_questions,
    measure,
    package_documents,
    rerank,
)


def passages(**texts: str) -> list[Chunk]:
    return [Chunk(name, 0, len(text), text, 1) for name, text in texts.items()]


def random_vectors(seed: int, number: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    drawn = np.random.default_rng(seed).standard_normal((number, 32), dtype=np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


# -- embeddings --------------------------------------------------------------------------------------


def test_embeddings_come_in_batches_and_in_order() -> None:
    """600 texts are three requests, each vector belongs to its text, and a text is sent only once."""
    texts = [f"text number {number}" for number in range(600)]

    async def main() -> None:
        sim = Simulator()
        async with connect() as database:
            embedder = Embedder(sim.openai(), database, dimensions=64)
            vectors = await embedder.embed([*texts, texts[7]])
            assert [record.model for record in sim.log] == ["text-embedding-3-small"] * 3
            assert vectors.shape == (601, 64)
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
            assert (vectors[600] == vectors[7]).all()
            (alone,) = await Embedder(Simulator().openai(), dimensions=64).embed([texts[300]])
            assert np.abs(alone - vectors[300]).max() < 1e-6
            assert (await embedder.embed([])).shape == (0, 64)

    run(main)


def test_vectors_are_remembered_by_text_model_and_dimensions(tmp_path: Path) -> None:
    """What is in the database is not asked for again, in another process neither; another model's is."""

    async def requests(texts: list[str], dimensions: int) -> int:
        sim = Simulator()
        async with connect(tmp_path / "vectors.sqlite") as database:
            await Embedder(sim.openai(), database, dimensions=dimensions).embed(texts)
        return len(sim.log)

    assert run(requests(["a", "b"], 64)) == 1
    assert run(requests(["b", "a"], 64)) == 0
    assert run(requests(["a", "c"], 64)) == 1
    assert run(requests(["a"], 32)) == 1


def test_long_texts_share_a_request_as_far_as_there_is_room() -> None:
    """Texts of 6,000 tokens go eight to a request."""

    async def main() -> list[int]:
        sim = Simulator(limits=RateLimits())
        await Embedder(sim.openai(), dimensions=8, limit=1).embed([f"{i} " * 3000 for i in range(10)])
        return [record.input_tokens for record in sim.log]

    assert run(main) == [48_000, 12_000]


def test_errors_of_the_embeddings_endpoint() -> None:
    """A refusal, a rate limit and a timeout are errors of the workbench's one tree."""

    async def embed(sim: Simulator, **options: float) -> None:
        await Embedder(sim.openai(max_retries=0, **options)).embed(["text"])

    with pytest.raises(AuthenticationError):
        run(embed(Simulator(keys=["another"])))
    with pytest.raises(RateLimitError):
        run(embed(Simulator(limits=RateLimits(tokens=0.5))))
    with pytest.raises(ProviderTimeoutError):
        run(embed(Simulator(edge_latency=10), timeout=1))


# -- the database ------------------------------------------------------------------------------------


def test_a_query_takes_no_virtual_time_and_its_turn() -> None:
    """Beside a timer a query is done at the instant at which it was asked, one after the other in order."""

    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def ask(name: str) -> None:
            async with connect() as database, database.execute("SELECT ?", (name,)) as rows:
                seen.extend([(str(row[0]), now()) async for row in rows])

        async def tick() -> None:
            await asyncio.sleep(1e-6)
            seen.append(("tick", now()))

        await asyncio.gather(tick(), ask("a"), ask("b"), ask("c"))
        return seen

    for _ in range(5):
        assert run(main) == [("a", 0.0), ("b", 0.0), ("c", 0.0), ("tick", 1e-6)]


@pytest.mark.parametrize("virtual", [True, False])
def test_connections_end_with_their_block(virtual: bool, tmp_path: Path) -> None:
    """Errors come through, a cancelled query does no harm, and no thread is left, whatever the clock."""

    async def main() -> None:
        async with connect(tmp_path / "d.sqlite") as database:
            with pytest.raises(aiosqlite.OperationalError, match="no such table"):
                await database.execute("SELECT * FROM missing")
            query = asyncio.create_task(database.execute_fetchall("SELECT 1"))
            await asyncio.sleep(0)
            query.cancel()
            await asyncio.gather(query, return_exceptions=True)
            assert list(await database.execute_fetchall("SELECT 2")) == [(2,)]
        with pytest.raises(ValueError, match=r"[Cc]losed|no active connection"):
            await database.execute("SELECT 3")

    before = set(threading.enumerate())
    run(main, virtual=virtual)
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(5)
    assert not [thread for thread in left if thread.is_alive()]


# -- searching ---------------------------------------------------------------------------------------


def test_the_graph_finds_almost_what_all_vectors_have() -> None:
    """Approximate search finds nine in ten of the exact neighbours, and the same ones in each build."""
    vectors, queries = random_vectors(1, 2000), random_vectors(2, 50)
    index, again = VectorIndex(vectors), VectorIndex(vectors)
    assert index.recall(queries, 10) > 0.9
    assert [index.search(query, 10) for query in queries] == [again.search(query, 10) for query in queries]
    poor = VectorIndex(vectors, connectivity=2, expansion_add=2, expansion_search=1)
    assert poor.recall(queries, 10) < 0.5
    assert index.exact(vectors[17], 1) == index.search(vectors[17], 1) == [17]


def test_small_indexes() -> None:
    """Who asks for more than there is gets what there is, be it nothing; equals come in their order."""
    vectors = random_vectors(1, 3)
    index = VectorIndex(vectors[[0, 0, 1]])
    assert index.exact(vectors[0], 10)[:2] == [0, 1]
    assert sorted(index.search(vectors[0], 10)) == [0, 1, 2]
    assert (
        VectorIndex(vectors[:0]).search(vectors[0], 5) == VectorIndex(vectors[:0]).exact(vectors[0], 5) == []
    )


def test_words_are_found_in_their_forms_and_in_names() -> None:
    """BM25 ranks by rare words, in whatever form, and takes names that are written together apart."""
    chunks = passages(
        AsyncOpenAI="The client. It retries.",
        max_retries="How often the client tries.",
        other="A client.",
    )

    async def main() -> None:
        async with connect() as database:
            lexical = LexicalIndex(database)
            await lexical.build(chunks)
            assert await lexical.search("clients of OpenAI?", 3) == [0, 2, 1]
            assert await lexical.search("AsyncOpenAI", 3) == [0]
            assert await lexical.search("retry", 1) == [1]
            assert await lexical.search("nothing there", 3) == []
            await lexical.build(chunks[:1])
            assert await lexical.search("client", 3) == [0]

    run(main)


@given(
    st.lists(
        st.text() | st.sampled_from(['"', "*", "NEAR(", "name:", "^", "a-b", "AND", "OR", "NOT", "{", ")"])
    )
)
def test_no_question_is_syntax(words: list[str]) -> None:
    """Whatever stands in a question, it is searched for as words, or finds nothing."""
    question = " ".join(words)

    async def main() -> list[int]:
        async with connect() as database:
            lexical = LexicalIndex(database)
            await lexical.build(passages(document="and not or near name"))
            return await lexical.search(question, 3)

    known = {"and", "not", "or", "near", "name", "document"}
    assert run(main) == [0] or not known & {word.strip('"*(:^{)').lower() for word in question.split()}


@given(st.lists(st.lists(st.integers(0, 20), unique=True), max_size=4))
def test_fusion(rankings: list[list[int]]) -> None:
    """Everything that was found is there once; what leads all rankings leads; agreement beats one voice."""
    fused = fuse(rankings)
    assert sorted(fused) == sorted({number for ranking in rankings for number in ranking})
    if len(rankings) == 1:
        assert fused == rankings[0]
    heads = {tuple(ranking[:1]) for ranking in rankings}
    if len(heads) == 1 and heads != {()}:
        assert (fused[0],) in heads


def test_fusion_prefers_agreement() -> None:
    """Second in both rankings is better than first in one, as the formula 1 / (60 + rank) has it."""
    assert fuse([[1, 2, 3], [4, 2, 5]]) == [2, 1, 4, 3, 5]


def test_the_reranker_prefers_what_covers_the_question() -> None:
    """Who has more of the question's rare words comes first; equals stay as they are."""
    candidates = passages(
        a="a timeout", b="nothing of it", c="the timeout of a pool", d="nothing else", Pool="x"
    )
    assert asyncio.run(rerank("Which timeout does the pool have?", candidates)) == [2, 4, 0, 1, 3]
    assert asyncio.run(rerank("?", candidates)) == [0, 1, 2, 3, 4]
    assert asyncio.run(rerank("timeout", [])) == []


# -- how good it is ----------------------------------------------------------------------------------


def test_the_measures() -> None:
    """Recall@k counts questions that have a right document among k, MRR the first one's place."""
    questions = [LabelledQuestion(name, frozenset({name})) for name in "abcd"]
    quality = measure(questions, [["a", "x"], ["x", "x", "b"], ["x"], ["x", "y", "z", "d"]], ks=(1, 2, 4))
    assert quality.recall == {1: 0.25, 2: 0.5, 4: 0.75}
    assert quality.mrr == (1 + 1 / 2 + 1 / 4) / 4
    assert str(quality) == "recall@1 0.25, recall@2 0.50, recall@4 0.75, MRR 0.44 over 4 questions"


def test_the_labels_name_documents() -> None:
    """Each labelled question names documents that the installed packages have, and is asked once."""
    questions = labelled_questions()
    names = {document.name for document in package_documents("httpx2", "anyio", "pydantic")}
    assert len(questions) == 40
    assert {name for each in questions for name in each.documents} <= names
    assert all(each.documents for each in questions)
