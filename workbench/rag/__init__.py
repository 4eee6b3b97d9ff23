"""Answers from documents, with citations that were checked: a whole RAG pipeline, small enough to read.

documents.py   what is asked           searching.py   vectors (HNSW), words (BM25), fusion
chunking.py    cut into passages       reranking.py   the candidates once more
embedding.py   made vectors            answering.py   the prompt, and the answer that is checked
database.py    SQLite                  pipeline.py    a question's way through all of it
corpus.py      all of that, ready      quality.py     how good it is
reader.py      what the simulated model answers
"""

from workbench.rag.answering import Answer, Quotation, grounded_request, parse_answer
from workbench.rag.chunking import Chunk, chunks, join
from workbench.rag.corpus import Corpus
from workbench.rag.database import connect
from workbench.rag.documents import Document, package_documents, read
from workbench.rag.embedding import Embedder
from workbench.rag.pipeline import Deadlines, Pipeline, Result
from workbench.rag.quality import LabelledQuestion, Quality, labelled_questions, measure
from workbench.rag.reader import extractive_reader
from workbench.rag.reranking import rerank
from workbench.rag.searching import LexicalIndex, VectorIndex, fuse

__all__ = [
    "Answer",
    "Chunk",
    "Corpus",
    "Deadlines",
    "Document",
    "Embedder",
    "LabelledQuestion",
    "LexicalIndex",
    "Pipeline",
    "Quality",
    "Quotation",
    "Result",
    "VectorIndex",
    "chunks",
    "connect",
    "extractive_reader",
    "fuse",
    "grounded_request",
    "join",
    "labelled_questions",
    "measure",
    "package_documents",
    "parse_answer",
    "read",
    "rerank",
]
