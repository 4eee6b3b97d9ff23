"""What the simulated model answers where it is asked to answer from sources: the passages that fit best."""

from __future__ import annotations

import json
import re

from workbench.messages import Request
from workbench.simulator.prose import question_of, sentences, stems

__all__ = ["extractive_reader"]

_PASSAGES = 3
_PROMPT = {"sources", "question"}
_LINE_END = re.compile(r"(?<!\n)\n(?!\n)")  # no blank line: a sentence goes on


def extractive_reader(request: Request) -> str | None:
    """For ``Simulator(script=extractive_reader)``: quote the sentences that share most with the question.

    It reads nothing but the request, and leaves any other one to the simulator's own words.
    """
    try:
        asked = json.loads(question_of(request))
    except ValueError:
        return None
    if request.response_format is None or not isinstance(asked, dict) or asked.keys() != _PROMPT:
        return None
    wanted = stems(asked["question"])
    found: dict[str, tuple[float, int, str]] = {}
    for source in asked["sources"]:
        name = stems(source["name"])
        for sentence, _ in sentences(_LINE_END.sub(" ", source["text"])):
            said = stems(sentence)
            if len(wanted & (said | name)) >= min(2, len(wanted)) and wanted & said:
                score = (len(wanted & said) + len(wanted & name) / 2) / (6 + len(said)) ** 0.5
                found.setdefault(sentence, (score, source["source"], sentence))
    best = sorted(found.values(), key=lambda passage: -passage[0])[:_PASSAGES]
    if not best:
        return json.dumps({"answer": "The sources do not say.", "citations": []})
    text = " ".join(f"{sentence} [{number}]" for _, number, sentence in best)
    citations = [{"source": number, "quote": sentence} for _, number, sentence in best]
    return json.dumps({"answer": text, "citations": citations}, ensure_ascii=False)
