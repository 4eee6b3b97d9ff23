"""The RAG pipeline's own CPU by stage, its chunker and its indexes beside their peers, and how they grow."""

import asyncio
import time
from collections.abc import Callable
from statistics import median

import numpy as np

import workbench as wb
from workbench import rag
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


async def stages() -> dict[str, float]:
    """CPU milliseconds a question by stage, on the loop of asyncio, for a model that answers at once.

    A span's time is wall time: with a provider in process that answers in no time, it is what the stage
    computes.  What `retrieve` has beyond its searches is the SDK's embeddings call and the database's thread.
    """
    at_once = wb.Latency(mean=1e-6)
    models = [
        wb.ModelProfile(name=name, provider="openai", ttft=at_once, itl=at_once, **more)
        for name, more in (("gpt-5.5", {}), ("text-embedding-3-small", {"dimensions": 1536}))
    ]
    sim = wb.Simulator(models=models, script=rag.extractive_reader, edge_latency=1e-6)
    questions = rag.labelled_questions()
    documents = rag.package_documents("httpx2", "anyio", "pydantic")
    async with rag.Corpus.build(documents, sim.openai()) as corpus:
        pipeline = rag.Pipeline(corpus, wb.OpenAIProvider(sim.openai()))
        await pipeline.ask(questions[0].question)
        with wb.recording() as trace:
            started = time.process_time()
            for each in questions:
                await pipeline.ask(each.question)
            whole = (time.process_time() - started) / len(questions)
    frame = trace.to_frame().groupby("name", sort=False)["duration"].median() * 1e3
    return {**frame.to_dict(), "whole (CPU, simulator included)": whole * 1e3}


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


def corpus_vectors(chunks: list[rag.Chunk], number: int) -> np.ndarray:
    """Vectors of real chunks; beyond those that there are, of two halves of chunks put together."""
    rng = np.random.default_rng(0)
    texts = [chunk.passage for chunk in chunks[:number]]
    real = np.stack([embed(text, "m", DIMENSIONS) for text in texts])
    first, second = rng.integers(0, len(real), (2, max(0, number - len(real))))
    mixed = real[first] + real[second] * rng.uniform(0.2, 1, (len(first), 1)).astype(np.float32)
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.concatenate([real, mixed]).astype(np.float32)


def indexes(vectors: np.ndarray, queries: np.ndarray) -> dict[str, float]:
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


if __name__ == "__main__":
    main()
