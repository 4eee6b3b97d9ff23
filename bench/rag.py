"""The RAG pipeline's own CPU by stage, its chunker and its indexes beside their peers, and how they grow."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import workbench as wb
from workbench import rag
from workbench.events import Event
from workbench.simulator.vectors import embed
from workbench.tokens import count

PACKAGES = ("httpx2", "anyio", "pydantic", "openai", "anthropic", "pandas")
DIMENSIONS = 256
ROUNDS = 5
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)


def cpu(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of this process's CPU: the median of several."""
    spent = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return median(spent)


class Memory:
    """A provider that answers what it was asked before, at once."""

    name = "memory"

    def __init__(self, provider: wb.OpenAIProvider) -> None:
        self.complete, self._provider = provider.complete, provider
        self._known: dict[str, list[Event]] = {}

    async def stream(self, request: wb.Request) -> AsyncIterator[Event]:
        known = self._known.setdefault(request.text, [])
        if not known:
            known += [event async for event in self._provider.stream(request)]
        for event in known:
            yield event


async def stages() -> dict[str, float]:
    """Milliseconds a question by stage: nobody waits for a provider, so they are what the stages compute."""
    fast = wb.Latency(mean=1e-6)
    model = wb.ModelProfile(name="gpt-5.5", provider="openai", ttft=fast, itl=fast)
    client = wb.Simulator(models=[model], script=rag.extractive_reader).openai()
    questions = rag.labelled_questions()
    async with rag.Corpus.build(rag.package_documents("httpx2", "anyio", "pydantic"), client) as corpus:
        vectors = dict(
            zip(
                [each.question for each in questions],
                await corpus.embedder.embed([each.question for each in questions]),
                strict=True,
            )
        )

        async def embed_query(question: str) -> NDArray[np.float32]:
            return vectors[question]

        corpus.embedder.embed_query = embed_query  # type: ignore[method-assign]  # as if it took no time
        pipeline = rag.Pipeline(corpus, Memory(wb.OpenAIProvider(client)))
        for each in questions:
            await pipeline.ask(each.question)
        with wb.recording() as trace:
            for each in questions * ROUNDS:
                await pipeline.ask(each.question)
    frame = trace.to_frame().groupby("name", sort=False)["duration"].median() * 1e3
    return {str(name): float(took) for name, took in frame.items()}


def chunkers(documents: list[rag.Document]) -> dict[str, float]:
    """Megabytes a second: each cuts by the same counter of tokens."""
    texts = [document.text for document in documents]
    size = sum(len(text.encode()) for text in texts) / 1e6
    ways: dict[str, Callable[[], object]] = {
        "workbench": lambda: [rag.chunks(document) for document in documents]
    }
    try:
        from semantic_text_splitter import TextSplitter

        splitter = TextSplitter.from_callback(count, 256, overlap=32)
        ways["semantic-text-splitter"] = lambda: [splitter.chunks(text) for text in texts]
    except ImportError:
        pass
    try:
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        recursive = RecursiveCharacterTextSplitter(chunk_size=256, chunk_overlap=32, length_function=count)
        ways["langchain-text-splitters"] = lambda: [recursive.split_text(text) for text in texts]
    except ImportError:
        pass
    return {name: size / cpu(way, 3) for name, way in ways.items()}


def corpus_vectors(chunks: list[rag.Chunk], number: int) -> NDArray[np.float32]:
    """Vectors of real chunks; beyond those that there are, of two halves of chunks put together."""
    rng = np.random.default_rng(0)
    texts = [chunk.passage for chunk in chunks[:number]]
    real = np.stack([embed(text, "m", DIMENSIONS) for text in texts])
    first, second = rng.integers(0, len(real), (2, max(0, number - len(real))))
    mixed = real[first] + real[second] * rng.uniform(0.2, 1, (len(first), 1)).astype(np.float32)
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.concatenate([real, mixed]).astype(np.float32)


def indexes(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> dict[str, float]:
    """Seconds to build, milliseconds a query by the graph and by all vectors, and the graph's recall."""
    started = time.perf_counter()
    index = rag.VectorIndex(vectors)
    built = time.perf_counter() - started
    return {
        "chunks": len(vectors),
        "build s": built,
        "graph ms": cpu(lambda: [index.search(q, 10) for q in queries]) / len(queries) * 1e3,
        "exact ms": cpu(lambda: [index.exact(q, 10) for q in queries]) / len(queries) * 1e3,
        "recall@10": index.recall(queries, 10),
    }


async def words(chunks: list[rag.Chunk]) -> dict[str, float]:
    """Seconds to build and milliseconds a query of the index of words."""
    questions = rag.labelled_questions()
    async with rag.connect() as database:
        lexical = rag.LexicalIndex(database)
        started = time.perf_counter()
        await lexical.build(chunks)
        built = time.perf_counter() - started
        started = time.perf_counter()
        for each in questions:
            await lexical.search(each.question, 20)
        took = (time.perf_counter() - started) / len(questions)
    return {"chunks": len(chunks), "build s": built, "query ms": took * 1e3}


def main() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [{"what": "stages, ms", **asyncio.run(stages())}]
    documents = rag.package_documents(*PACKAGES)
    rows.append({"what": "chunkers, MB/s", **chunkers(documents)})
    cut = [chunk for document in documents for chunk in rag.chunks(document)]
    queries = np.stack([embed(each.question, "m", DIMENSIONS) for each in rag.labelled_questions()])
    for number in SIZES:
        found = indexes(corpus_vectors(cut, number), queries)
        repeated = (cut * (1 + number // len(cut)))[:number]
        rows += [{"what": "vectors", **found}, {"what": "words", **asyncio.run(words(repeated))}]
    for row in rows:
        print("  ".join(f"{key} {v:.3g}" if isinstance(v, float) else f"{key} {v}" for key, v in row.items()))
    return rows


def draw(rows: list[dict[str, object]]) -> None:
    """Time against the size of the corpus, on logarithmic axes, for docs/rag.md."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    for axis, what, key, label, style in (
        (axes[0], "vectors", "build s", "vectors (HNSW)", "o-"),
        (axes[0], "words", "build s", "words (FTS5)", "s--"),
        (axes[1], "vectors", "exact ms", "vectors, all of them", "^:"),
        (axes[1], "vectors", "graph ms", "vectors (HNSW)", "o-"),
        (axes[1], "words", "query ms", "words (FTS5)", "s--"),
    ):
        found = [row for row in rows if row["what"] == what]
        axis.loglog([row["chunks"] for row in found], [row[key] for row in found], style, label=label)
    for axis, title in zip(axes, ("build, seconds", "a query, milliseconds"), strict=True):
        axis.set(title=title, xlabel="chunks")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, frameon=False)
    figure.savefig(Path(__file__).parent.parent / "docs" / "rag_growth.png", dpi=110)


if __name__ == "__main__":
    draw(main())
