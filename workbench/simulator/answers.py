"""What the simulated model says: prose, tool calls, JSON, or what a script tells it to.

An answer depends on the seed and on the request, on nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import random
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count as count_from
from typing import Any

from workbench.errors import ConfigurationError
from workbench.messages import Citation, Completion, Reply, Request, StopReason, Tool, ToolCall, Usage
from workbench.simulator.models import ModelProfile
from workbench.simulator.prose import Prose, question_of, stems, write
from workbench.simulator.schemas import sample
from workbench.tokens import pieces
from workbench.wire.dialect import Call, compact
from workbench.wire.signature import sign

__all__ = ["Answer", "Responder", "Script", "Words", "Writer"]

Answer = str | Sequence[ToolCall] | Reply
Responder = Callable[[Request], Answer | None]
Script = Responder | Mapping[str, Answer] | Sequence[Answer]

_IN_PROSE = Reply()
_REFUSAL = Reply(text="I’m sorry, but I can’t help with that.", stop_reason="refusal")
_log = logging.getLogger("workbench")
_HALF = re.compile("[\ud800-\udfff]")


def choose_tools(request: Request, rng: random.Random) -> list[Tool]:
    """The tools that the request demands, or that share words with the question."""
    if request.tool_choice == "none" or not request.tools:
        return []
    named = [tool for tool in request.tools if tool.name == request.tool_choice]
    if named:
        return named
    if request.tool_choice == "auto" and request.messages[-1].role == "tool":
        return []  # the results are there: now it answers
    wanted = stems(question_of(request))
    scores = [len(wanted & stems(f"{t.name.replace('_', ' ')} {t.description}")) for t in request.tools]
    best = [tool for tool, score in zip(request.tools, scores, strict=True) if score]
    if not best and request.tool_choice == "required":
        best = [rng.choice(request.tools)]
    return best if request.parallel_tool_calls else best[:1]


class Words:
    """Decides what `model` says, and how long it goes on by itself.

    It is drawn when somebody asks: to `seed` a generator costs much, and a scripted answer may need none.
    """

    def __init__(self, seed: Callable[[], random.Random], model: ModelProfile) -> None:
        self._seed, self._model = seed, model
        self._drawn: tuple[random.Random, int] | None = None

    @property
    def rng(self) -> random.Random:
        """Every choice of words."""
        return self._draw()[0]

    @property
    def length(self) -> int:
        """Tokens that the model would write by itself."""
        return self._draw()[1]

    def generators(self) -> Sequence[random.Random]:
        """Those that it has drawn from."""
        return () if self._drawn is None else self._drawn[:1]

    def _draw(self) -> tuple[random.Random, int]:
        if self._drawn is None:
            rng = self._seed()
            length = max(1, round(self._model.answer_tokens.draw(rng)))
            self._drawn = rng, min(length, self._model.max_output_tokens)
        return self._drawn


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
        words: Words,
        *,
        room: int,
        id: str,
        call_prefix: str,
        prompt: Mapping[str, int],
        refuse: bool = False,
        spoil: random.Random | None = None,
    ) -> list[Completion]:
        """The choices that answer `call`.

        Args:
            call: what is asked.
            words: decides every choice of words, and how many there are.
            room: tokens that the context window has left.
            id: of the completion.
            call_prefix: with which the ids of tool calls begin.
            prompt: the usage as far as the prompt goes.
            refuse: the model does not answer, and says so.
            spoil: decides how JSON that was asked for goes wrong; None: it does not.
        """
        request = call.request
        scripted = _REFUSAL if refuse else _scripted(self._respond, request)
        limit = min(request.max_tokens or room, room)
        cut: StopReason = "length" if limit == request.max_tokens else "context_window"
        choices = []
        for _ in range(call.n):
            reply, prose = (scripted, None) if scripted is not None else _compose(request, words)
            if spoil and request.response_format and reply.stop_reason is None and reply.text:
                reply, prose = reply.model_copy(update={"text": _spoil(reply.text, spoil)}), None
            calls = [_with_id(c, call_prefix, words) for c in reply.tool_calls]
            thinking = reply.thinking or (_think(request, words) if scripted is None else "")
            thoughts = pieces(thinking)[:limit] if thinking else []
            thinking, thought = "".join(thoughts), len(thoughts)
            said, size = (prose.text, prose.tokens) if prose else (reply.text, None)
            text, kept, used, reason, stop = _limit(request, said, calls, size, limit - thought)
            choices.append(
                Completion(
                    id=id,
                    model=request.model,
                    text=text,
                    thinking=thinking,
                    signature=sign(thinking) if thinking else "",
                    citations=_clip(prose.citations, text) if prose else (),
                    tool_calls=tuple(kept),
                    stop_reason=cut if reason == "length" else reply.stop_reason or reason,
                    stop_sequence=stop,
                    usage=Usage(**prompt, output_tokens=thought + used, thinking_tokens=thought),
                )
            )
        return choices


def _clip(citations: Sequence[Citation], text: str) -> tuple[Citation, ...]:
    """What is left of the citations of a text that was cut off."""
    end = len(text)
    left = (c for c in citations if text[c.start : c.end].strip())
    return tuple(c if c.end <= end else c.model_copy(update={"end": end}) for c in left)


def _think(request: Request, words: Words) -> str:
    """What the model thinks before it answers; a scripted one thinks nothing of its own."""
    if request.thinking_tokens is None:
        return ""
    wanted = write(request, words.rng, max(words.length, request.thinking_tokens // 4)).text
    return "".join(pieces(wanted)[: request.thinking_tokens])


def _compose(request: Request, words: Words) -> tuple[Reply, Prose | None]:
    """The model's own answer; as prose, where it is nothing else."""
    rng, length = words.rng, words.length
    if tools := choose_tools(request, rng):
        hints = question_of(request)
        arguments = [
            write(request, rng, 1).text
            if tool.free_text
            else compact(sample({"type": "object", **tool.parameters}, rng, hints))
            for tool in tools
        ]
        calls = zip(tools, arguments, strict=True)
        return Reply(
            tool_calls=tuple(ToolCall(id="", name=t.name, arguments=text) for t, text in calls)
        ), None
    if request.response_format is None:
        return _IN_PROSE, write(request, rng, length)
    schema = request.response_format.json_schema
    if schema == {"type": "object"}:  # any object will do
        return Reply(text=compact({"answer": write(request, rng, length).text})), None
    return Reply(text=compact(sample(schema, rng, question_of(request)))), None


def _spoil(text: str, rng: random.Random) -> str:
    """JSON as a model writes it that nothing holds to a schema: talked about, cut off, or nested too deep."""
    way = rng.choice(("talk", "cut", "nest"))
    if way == "cut":
        return text[: len(text) * 2 // 3]
    with contextlib.suppress(ValueError):  # a script may say what is no JSON anyway
        if way == "nest" and (fields := json.loads(text)) and isinstance(fields, dict):
            name = rng.choice(list(fields))
            return compact({**fields, name: {"value": fields[name]}})
    return f"Here is the JSON:\n```json\n{text}\n```"


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
        return _reply_of(answer)
    if isinstance(answer, Sequence) and all(isinstance(call, ToolCall) for call in answer):
        reply = Reply(tool_calls=tuple(answer))
    elif isinstance(answer, Reply):
        reply = answer
    else:
        message = f"a script answers by a text, a list of ToolCall, or a Reply, got {answer!r}"
        raise ConfigurationError(message)
    return _check_text(reply)


def _check_text(reply: Reply) -> Reply:
    texts = (reply.text, reply.thinking, *(call.arguments for call in reply.tool_calls))
    if any(_HALF.search(text) for text in texts):
        raise ConfigurationError(f"a script's answer is no text: it has half a surrogate pair, {reply!r}")
    return reply


@functools.lru_cache(maxsize=256)
def _reply_of(text: str) -> Reply:
    """A script says the same again and again."""
    return _check_text(Reply(text=text))


def _with_id(call: ToolCall, prefix: str, words: Words) -> ToolCall:
    return call if call.id else call.model_copy(update={"id": f"{prefix}{words.rng.getrandbits(96):024x}"})


def _limit(
    request: Request, text: str, calls: Sequence[ToolCall], size: int | None, limit: int
) -> tuple[str, Sequence[ToolCall], int, StopReason, str | None]:
    """Apply the stop sequences and the length limit.

    Args:
        request: it sets the stop sequences.
        text: what the model would say.
        calls: the tools that it would call.
        size: of the text in tokens, if it is known and all there is.
        limit: tokens that there may be.

    Returns:
        text, tool calls, tokens, and why and at which stop sequence it ends.
    """
    if size is not None and size <= limit and not request.stop:
        return text, [], size, "stop", None
    stop = None
    found = [(at, stop) for stop in request.stop if stop and (at := text.find(stop)) >= 0]
    if found:
        at, stop = min(found)
        text, calls = text[:at], []
    tokens = _pieces_of_script(text) if size is None else pieces(text)
    left = limit - len(tokens)
    if left < 0:
        return "".join(tokens[:limit]), [], limit, "length", None
    return _limit_calls(text, calls, len(tokens), left, stop)


@functools.lru_cache(maxsize=256)
def _pieces_of_script(text: str) -> tuple[str, ...]:
    return tuple(pieces(text))


def _limit_calls(
    text: str, calls: Sequence[ToolCall], used: int, left: int, stop: str | None
) -> tuple[str, list[ToolCall], int, StopReason, str | None]:
    kept: list[ToolCall] = []
    for call in calls:
        fragments = pieces(call.arguments)
        size = 1 + len(fragments)
        if size > left:
            if left:
                arguments = "".join(fragments[: left - 1])
                kept.append(call.model_copy(update={"arguments": arguments}))
            return text, kept, used + left, "length", None
        kept.append(call)
        used, left = used + size, left - size
    return text, kept, used, "tool_calls" if kept else "stop", stop
