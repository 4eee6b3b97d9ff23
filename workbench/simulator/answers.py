"""What the simulated model says: extracts that answer the prompt, tool calls, JSON.

An answer depends on the seed and on the request, on nothing else.  Without a script the model is an
extractive one: it ranks the sentences of the conversation, and of a page of knowledge about the field,
by the words that they share with the last question.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import logging
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from itertools import count as count_from
from typing import Any

from workbench.errors import ConfigurationError
from workbench.messages import Completion, Reply, Request, StopReason, Tool, ToolCall, Usage
from workbench.simulator.schemas import sample
from workbench.tokens import count, pieces
from workbench.wire.dialect import Call, compact

__all__ = ["Answer", "Responder", "Script", "Writer"]

Answer = str | Sequence[ToolCall] | Reply
Responder = Callable[[Request], Answer | None]
Script = Responder | Mapping[str, Answer] | Sequence[Answer]

_REFUSAL = Reply(text="I’m sorry, but I can’t help with that.", stop_reason="refusal")
_log = logging.getLogger("workbench")
_HALF = re.compile("[\ud800-\udfff]")
_WORD = re.compile(r"[^\W_]+")
_SENTENCE = re.compile(r"(?<=[.!?。!?])\s+|\n+")
_STOP_WORDS = frozenset(
    """
    about after again all also and any are because been before being between both but can could does
    each for from had has have how into its just like may more most much not now of only other our out
    over same should some such than that the their them then there these they this those through too
    under until very was were what when where which while who why will with would you your explain tell
    give please one sentence sentences short answer question describe write say
    """.split()  # noqa: SIM905 - one word a line would fill the page
)


@functools.lru_cache(maxsize=4096)
def _stems(text: str) -> frozenset[str]:
    """The words that carry meaning, cut to six letters so that their forms agree."""
    words = _WORD.findall(text.lower())
    return frozenset(w[:6] for w in words if w not in _STOP_WORDS and (len(w) > 2 or not w.isascii()))


@functools.cache
def _knowledge() -> dict[str, frozenset[str]]:
    """The sentences that every model knows, each with its stems."""
    text = files("workbench.simulator").joinpath("knowledge.txt").read_text(encoding="utf-8")
    return {line: _stems(line) for line in text.splitlines()}


_size = functools.lru_cache(maxsize=4096)(count)  # the same sentences come again and again


def _question(request: Request) -> str:
    for message in reversed(request.messages):
        if message.role == "user":
            return message.content
    return request.messages[-1].content


def _last_sentence(text: str) -> str:
    return _SENTENCE.split(text.strip())[-1]


def _context(request: Request, question: str) -> list[str]:
    """Sentences that the prompt itself offers: all of it but the question asked."""
    text = "\n".join(m.content for m in request.messages if m.role in ("system", "user", "tool"))
    asked = _last_sentence(question)
    sentences = (s.strip() for s in _SENTENCE.split(text))
    return [s for s in dict.fromkeys(sentences) if s and s != asked and not s.endswith("?")]


def write(request: Request, rng: random.Random, length: int) -> tuple[str, int]:
    """Prose of at least `length` tokens that answers the last question from what is known.

    Returns:
        the text, and how many tokens it has.
    """
    results = [m.content for m in request.messages if m.role == "tool"]
    question = _question(request)
    wanted = _stems(question)
    context = _context(request, question)

    scores = {known: len(wanted & stems) + rng.random() / 4 for known, stems in _knowledge().items()}
    scores |= {own: len(wanted & _stems(own)) + 0.5 + rng.random() / 4 for own in context}
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    parts = [f"The tools say: {'; '.join(results)}."] if results else []
    size = sum(count(part) for part in parts)
    for sentence in ranked:
        if parts and size >= length:
            break
        parts.append(f" {sentence}" if parts else sentence)
        size += _size(parts[-1])
    while size < length:  # asked for more than there is to say
        parts.append(f" {rng.choice(ranked)}")
        size += _size(parts[-1])
    return "".join(parts), size


def choose_tools(request: Request, rng: random.Random) -> list[Tool]:
    """The tools that the request demands, or that share words with the question."""
    if request.tool_choice == "none" or not request.tools:
        return []
    named = [tool for tool in request.tools if tool.name == request.tool_choice]
    if named:
        return named
    if request.tool_choice == "auto" and request.messages[-1].role == "tool":
        return []  # the results are there: now it answers
    wanted = _stems(_question(request))
    scores = [len(wanted & _stems(f"{t.name.replace('_', ' ')} {t.description}")) for t in request.tools]
    best = [tool for tool, score in zip(request.tools, scores, strict=True) if score]
    if not best and request.tool_choice == "required":
        best = [rng.choice(request.tools)]
    return best if request.parallel_tool_calls else best[:1]


class Writer:
    """Turns requests into completions; `script` takes the place of the model's own words.

    Args:
        script: a function of the request, which may return None for "as usual"; or a mapping from a part
            of the prompt to the answer; or a sequence of answers, one for each request in their order.
    """

    def __init__(self, script: Script | None) -> None:
        self._respond: Responder = _responder(script)

    def write(
        self,
        call: Call,
        rng: random.Random,
        *,
        length: int,
        id: str,
        call_prefix: str,
        prompt: Usage,
        refuse: bool = False,
    ) -> list[Completion]:
        """The choices that answer `call`.

        Args:
            rng: decides every choice of words.
            length: tokens that the model would write by itself.
            id: of the completion.
            call_prefix: with which the ids of tool calls begin.
            prompt: the usage as far as the prompt goes.
            refuse: the model does not answer, and says so.
        """
        request = call.request
        scripted = _REFUSAL if refuse else _scripted(self._respond, request)
        choices = []
        for _ in range(call.n):
            reply, size = (scripted, None) if scripted is not None else _compose(request, rng, length)
            calls = [_with_id(c, call_prefix, rng) for c in reply.tool_calls]
            thinking = reply.thinking or _think(request, rng, length, quiet=scripted is not None)
            thoughts = pieces(thinking)[: request.max_tokens]
            thinking, thought = "".join(thoughts), len(thoughts)
            text, kept, used, reason, stop = _limit(request, reply.text, calls, size, thought)
            choices.append(
                Completion(
                    id=id,
                    model=request.model,
                    text=text,
                    thinking=thinking,
                    signature=_sign(thinking) if thinking else "",
                    tool_calls=tuple(kept),
                    stop_reason=reply.stop_reason if reply.stop_reason and reason != "length" else reason,
                    stop_sequence=stop,
                    usage=prompt + Usage(output_tokens=used, thinking_tokens=thought),
                )
            )
        return choices


def _sign(thinking: str) -> str:
    return base64.b64encode(hashlib.blake2b(thinking.encode()).digest()).decode()


def _think(request: Request, rng: random.Random, length: int, *, quiet: bool) -> str:
    """What the model thinks before it answers; a scripted one thinks nothing of its own."""
    if request.thinking_tokens is None or quiet:
        return ""
    wanted, _ = write(request, rng, max(length, request.thinking_tokens // 4))
    return "".join(pieces(wanted)[: request.thinking_tokens])


def _compose(request: Request, rng: random.Random, length: int) -> tuple[Reply, int | None]:
    """The model's own answer, and how many tokens that has, where it is known."""
    if tools := choose_tools(request, rng):
        hints = _question(request)
        arguments = [
            write(request, rng, 1)[0]
            if tool.free_text
            else compact(sample({"type": "object", **tool.parameters}, rng, hints))
            for tool in tools
        ]
        calls = zip(tools, arguments, strict=True)
        return Reply(
            tool_calls=tuple(ToolCall(id="", name=t.name, arguments=text) for t, text in calls)
        ), None
    if request.response_format is None:
        text, size = write(request, rng, length)
        return Reply(text=text), size
    schema = request.response_format.json_schema
    if schema == {"type": "object"}:  # any object will do
        return Reply(text=compact({"answer": write(request, rng, length)[0]})), None
    return Reply(text=compact(sample(schema, rng, _question(request)))), None


def _responder(script: Script | None) -> Responder:
    if script is None:
        return lambda request: None
    if callable(script):
        return script
    if isinstance(script, Mapping):
        answers = dict(script)
        return lambda request: next((a for part, a in answers.items() if part in request.text), None)
    if isinstance(script, str):
        return lambda request: script
    if not isinstance(script, Sequence):
        message = f"script must be a function, a mapping or a sequence of answers, got {script!r}"
        raise ConfigurationError(message)
    lines, numbers = list(script), count_from()

    def next_line(request: Request) -> Answer:
        if (number := next(numbers)) >= len(lines):
            raise ConfigurationError(f"the script has {len(lines)} answers, and request {number + 1} came")
        return lines[number]

    return next_line


def _scripted(respond: Responder, request: Request) -> Reply | None:
    try:
        answer: Any = respond(request)
    except ConfigurationError:
        raise
    except Exception as error:  # whatever a user's function may raise
        _log.exception("the simulator's script raised an error; the request is answered by status 400")
        raise ConfigurationError(f"the simulator's script raised {error!r}") from error
    if answer is None:
        return None
    if isinstance(answer, str):
        reply = Reply(text=answer)
    elif isinstance(answer, Sequence) and all(isinstance(call, ToolCall) for call in answer):
        reply = Reply(tool_calls=tuple(answer))
    elif isinstance(answer, Reply):
        reply = answer
    else:
        message = f"a script answers by a text, a list of ToolCall, or a Reply, got {answer!r}"
        raise ConfigurationError(message)
    texts = (reply.text, reply.thinking, *(call.arguments for call in reply.tool_calls))
    if any(_HALF.search(text) for text in texts):
        raise ConfigurationError(f"a script's answer is no text: it has half a surrogate pair, {answer!r}")
    return reply


def _with_id(call: ToolCall, prefix: str, rng: random.Random) -> ToolCall:
    return call if call.id else call.model_copy(update={"id": f"{prefix}{rng.getrandbits(96):024x}"})


def _limit(
    request: Request, text: str, calls: Sequence[ToolCall], size: int | None, thought: int
) -> tuple[str, Sequence[ToolCall], int, StopReason, str | None]:
    """Apply the stop sequences and the length limit.

    Args:
        request: it sets them.
        text: what the model would say.
        calls: the tools that it would call.
        size: of the text in tokens, if it is known and all there is.
        thought: tokens that it has thought before; they count.

    Returns:
        text, tool calls, tokens, and why and at which stop sequence it ends.
    """
    limit = math.inf if request.max_tokens is None else max(0, request.max_tokens - thought)
    if size is not None and size <= limit and not request.stop:
        return text, [], thought + size, "stop", None
    stop = None
    found = [(at, stop) for stop in request.stop if stop and (at := text.find(stop)) >= 0]
    if found:
        at, stop = min(found)
        text, calls = text[:at], []
    tokens = pieces(text)
    left = limit - len(tokens)
    if left < 0:
        return "".join(tokens[: int(limit)]), [], thought + int(limit), "length", None
    return _limit_calls(text, calls, thought + len(tokens), left, stop)


def _limit_calls(
    text: str, calls: Sequence[ToolCall], used: int, left: float, stop: str | None
) -> tuple[str, list[ToolCall], int, StopReason, str | None]:
    kept: list[ToolCall] = []
    for call in calls:
        fragments = pieces(call.arguments)
        size = 1 + len(fragments)
        if size > left:
            if left:
                arguments = "".join(fragments[: int(left) - 1])
                kept.append(call.model_copy(update={"arguments": arguments}))
            return text, kept, used + int(left), "length", None
        kept.append(call)
        used, left = used + size, left - size
    return text, kept, used, "tool_calls" if kept else "stop", stop
