"""How good the retrieval is: labelled questions, recall@k and MRR."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["LabelledQuestion", "Quality", "labelled_questions", "measure"]


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A question, and the documents each of which answers it."""

    question: str
    documents: frozenset[str]


@dataclass(frozen=True, slots=True)
class Quality:
    """Of rankings: `recall[k]` is the share of questions that have a right document among the first k.

    `mrr` is the mean reciprocal rank: of 1 over the place of the first right document, or 0.
    """

    questions: int
    recall: Mapping[int, float]
    mrr: float

    def __str__(self) -> str:
        recalls = ", ".join(f"recall@{k} {share:.2f}" for k, share in self.recall.items())
        return f"{recalls}, MRR {self.mrr:.2f} over {self.questions} questions"


def labelled_questions() -> list[LabelledQuestion]:
    """The questions of ``questions.toml``, on the documentation of `httpx2`, `anyio` and `pydantic`."""
    text = files("workbench.rag").joinpath("questions.toml").read_text(encoding="utf-8")
    return [LabelledQuestion(asked, frozenset(answers)) for asked, answers in tomllib.loads(text).items()]


def measure(
    questions: Sequence[LabelledQuestion],
    rankings: Sequence[Sequence[str]],
    ks: Sequence[int] = (1, 3, 5, 10),
) -> Quality:
    """The quality of rankings.

    Args:
        questions: what was asked.
        rankings: the documents found for each, the best first; a document may come several times.
        ks: for which recall@k is wanted.
    """
    firsts = []
    for asked, ranking in zip(questions, rankings, strict=True):
        distinct = list(dict.fromkeys(ranking))
        firsts.append(next((i for i, name in enumerate(distinct, 1) if name in asked.documents), None))
    recall = {k: sum(first is not None and first <= k for first in firsts) / len(firsts) for k in ks}
    return Quality(len(firsts), recall, sum(1 / first for first in firsts if first) / len(firsts))
