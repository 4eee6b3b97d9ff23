"""What a learner is told of their program, as text and as HTML: the same program gives the same bytes.

Rule of this file: it measures nothing; all it knows is in the exercise and in the runs of its checks.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.practice.exercise import Exercise
from workbench.practice.sandbox import Run, Sandbox

__all__ = ["Finding", "Report", "check_program"]

_ROWS = 16  # of a timeline
_COLUMNS = 56
_MARKS = {"ok": "█", "error": "▒", "cancelled": "░", "in flight": "─"}
_COLORS = {"ok": "#0072b2", "error": "#d55e00", "cancelled": "#999999", "in flight": "#56b4e9"}
_UNNAMED = "not what was asked for"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: its name, what it means, what shows it, and what to look at."""

    key: str | None
    name: str
    says: str
    evidence: str
    look_at: str
    claim: str


@dataclass(frozen=True)
class Report:
    """The verdict on one program.

    Args:
        exercise: that it should solve.
        runs: of the exercise's checks, as far as they came.
        findings: all that is wrong, the most telling first.
    """

    exercise: Exercise
    runs: tuple[Run, ...]
    findings: tuple[Finding, ...] = field(init=False)

    def __post_init__(self) -> None:
        order = list(self.exercise.mistakes)
        found = [each for run in self.runs for each in self._findings(run)]
        plain = self.exercise.checks()[0].claim  # who fails the plain case has no use for finer points
        found.sort(
            key=lambda each: order.index(each.key) if each.key else -1 if each.claim == plain else len(order)
        )
        first = dict.fromkeys(each.name for each in found)
        object.__setattr__(
            self, "findings", tuple(next(each for each in found if each.name == name) for name in first)
        )

    @property
    def passed(self) -> bool:
        """Whether every check ran to its end, and found nothing."""
        return not self.findings and len(self.runs) == len(self.exercise.checks())

    def _findings(self, run: Run) -> Iterator[Finding]:
        for right, key, evidence in run.judgements:
            if not right and key:
                mistake = self.exercise.mistakes[key]
                yield Finding(key, mistake.name, mistake.says, evidence, mistake.look_at, run.check.claim)
            elif not right:
                yield Finding(
                    None,
                    _UNNAMED,
                    run.check.claim,
                    evidence,
                    "the task's own words on this.",
                    run.check.claim,
                )
        if run.fault:
            title, evidence, look_at = run.fault
            yield Finding(
                None, title, f"while this was tried: {run.check.claim}", evidence, look_at, run.check.claim
            )

    # -- as text --------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.exercise.title}: {'right' if self.passed else 'not yet'}"
        for mark, claim, evidence in self._behaviours():
            yield f"  {mark} {claim}"
            yield from (f"      {each}" for each in evidence)
        if self.findings:
            first, *others = self.findings
            yield f"\nThe first thing to mend: {first.name}"
            yield f"  {first.says}"
            yield f"  Measured: {first.evidence}."
            if first.look_at:
                yield f"  Look at {first.look_at}"
            if others:
                yield f"Seen as well: {', '.join(each.name for each in others)}."
        if bars := self._bars():
            yield f"\n{self._caption(_MARKS)}"
            yield from bars
        if printed := self._printed():
            yield f"\n{printed}"
        if self.passed:
            yield "\nWhat an interviewer asks next:"
            yield from (f"  - {question}" for question in self.exercise.follow_ups)

    def _behaviours(self) -> Iterator[tuple[str, str, list[str]]]:
        """(mark, claim, evidence) of each check."""
        for run in self.runs:
            evidence = [f"{'' if right else '✗ '}{text}" for right, _, text in run.judgements]
            if run.fault:
                evidence.append(f"✗ {run.fault[0]}: {run.fault[1]}")
            yield "✓" if run.right else "✗", run.check.claim, list(dict.fromkeys(evidence))
        for check in self.exercise.checks()[len(self.runs) :]:
            yield "·", f"{check.claim} (not tried: your code had to be stopped)", []

    def _shown(self) -> Run | None:
        """The run whose calls are drawn: of the first finding, or else the one with the most calls."""
        drawn = [run for run in self.runs if run.calls]
        if self.findings:
            drawn = [run for run in drawn if run.check.claim == self.findings[0].claim]
        return max(drawn, key=lambda run: len(run.calls), default=None)

    def _caption(self, marks: Mapping[str, str]) -> str:
        run = self._shown()
        assert run
        end = max(call[2] for call in run.calls)
        more = len(run.calls) - _ROWS
        rest = f", the first {_ROWS} of {len(run.calls)}" if more > 0 else ""
        kinds = dict.fromkeys(call[3] for call in run.calls[:_ROWS])
        legend = ", ".join(f"{marks[kind]} {kind}" for kind in kinds)
        return f"The calls that your code made{rest}, from 0 to {end:.2f} s ({legend}):"

    def _bars(self) -> list[str]:
        run = self._shown()
        if run is None:
            return []
        end = max(call[2] for call in run.calls) or 1.0
        lines = []
        for number, (_, start, until, outcome) in enumerate(run.calls[:_ROWS], 1):
            first = min(int(start / end * _COLUMNS), _COLUMNS - 1)
            long = max(1, round(until / end * _COLUMNS) - first)
            lines.append(f"  {number:3} {' ' * first}{_MARKS[outcome] * long}")
        return lines

    def _printed(self) -> str:
        run = next((run for run in self.runs if run.printed[1]), None)
        if run is None:
            return ""
        text, length = run.printed
        head = "\n".join(text.splitlines()[:5])
        more = f"\n  … {length:,} characters in all" if length > len(head) + 1 else ""
        return f"Your code printed:\n  {head[:400]}{more}"

    # -- as HTML --------------------------------------------------------------------------------------

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.to_html()}

    def to_html(self) -> str:
        """The report for a notebook; it needs no script and no style sheet."""
        return f'<div style="max-width:52em;line-height:1.45">{"".join(self._blocks())}</div>'

    def _blocks(self) -> Iterator[str]:
        said = _as_html
        verdict, color = ("right", "#009e73") if self.passed else ("not yet", "#d55e00")
        yield f'<h3>{said(self.exercise.title)}: <span style="color:{color}">{verdict}</span></h3>'
        if self.findings:
            first, *others = self.findings
            yield f'<div style="border-left:4px solid {color};padding:.1em 1em;margin:.6em 0">'
            yield f"<b>{said(first.name)}</b><br>{said(first.says)}"
            yield f"<br>Measured: <b>{said(first.evidence)}</b>."
            yield f"<br>Look at {said(first.look_at)}</div>" if first.look_at else "</div>"
            if others:
                yield f"<p>Seen as well: {said(', '.join(each.name for each in others))}.</p>"
        yield '<ul style="list-style:none;padding-left:0">'
        for mark, claim, evidence in self._behaviours():
            small = "".join(
                f'<div style="opacity:.75;padding-left:1.5em">{said(each)}</div>' for each in evidence
            )
            yield f'<li style="margin:.25em 0">{mark} {said(claim)}{small}</li>'
        yield "</ul>"
        if run := self._shown():
            squares = {kind: f'<span style="color:{color}">■</span>' for kind, color in _COLORS.items()}
            yield f"<p>{self._caption(squares)}</p>{_svg(run)}"
        if printed := self._printed():
            yield f"<pre>{said(printed)}</pre>"
        if self.passed:
            asked = "".join(f"<li>{said(question)}</li>" for question in self.exercise.follow_ups)
            yield f"<p>What an interviewer asks next:</p><ul>{asked}</ul>"


def _as_html(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _svg(run: Run) -> str:
    end = max(call[2] for call in run.calls) or 1.0
    bars = []
    for row, (_, start, until, outcome) in enumerate(run.calls[:_ROWS]):
        left, width = 640 * start / end, max(2, 640 * (until - start) / end)
        place = f'x="{min(left, 638):.1f}" y="{row * 12 + 2}" width="{width:.1f}" height="9"'
        bars.append(f'<rect {place} fill="{_COLORS[outcome]}"><title>{html.escape(outcome)}</title></rect>')
    height = 12 * len(run.calls[:_ROWS]) + 4
    return f'<svg width="640" height="{height}" role="img" aria-label="timeline">{"".join(bars)}</svg>'


def check_program(exercise: Exercise, source: str, sandbox: Sandbox) -> Report:
    """Judge a program by what it does."""
    return Report(exercise, tuple(sandbox.run(exercise, source)))
