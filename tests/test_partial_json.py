"""A view of a growing JSON object: cheap, close behind, and never ahead of what is said."""

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.partial_json import PartialJson

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(SCALARS, lambda of: st.lists(of) | st.dictionaries(st.text(), of), max_leaves=12)
OBJECTS = st.dictionaries(st.text(), VALUES)
TEXTS = st.builds(json.dumps, OBJECTS, ensure_ascii=st.booleans(), indent=st.sampled_from([None, 1]))
EXACT = 1e-9


def grows_into(view: Any, value: Any) -> bool:
    """Whether what comes next can only add to `view`, until it is `value`."""
    if isinstance(view, str) and isinstance(value, str):
        return value.startswith(view)
    if isinstance(view, list) and isinstance(value, list):
        return len(view) <= len(value) and all(map(grows_into, view, value))
    if isinstance(view, dict) and isinstance(value, dict):
        return all(key in value and grows_into(view[key], value[key]) for key in view)
    return type(view) is type(value) and bool(view == value)


@settings(max_examples=40)
@given(TEXTS)
def test_a_view_only_grows(text: str) -> None:
    """After each character the view is one that can grow into the next, and in the end into the object."""
    growing = PartialJson(lag=EXACT)
    views = [growing.feed(character) for character in text]
    assert growing.whole() == views[-1] == json.loads(text)
    assert all(grows_into(earlier, later) for earlier, later in pairwise(views))
    assert growing.text == text


@settings(max_examples=40)
@given(TEXTS, st.floats(0.01, 2), st.integers(1, 7))
def test_a_view_lags_behind_by_no_more_than_its_share(text: str, lag: float, size: int) -> None:
    """What `feed` gives is the exact view of at least ``1 / (1 + lag)`` of the text; `view` has it all."""
    growing, exact = PartialJson(lag=lag), PartialJson(lag=EXACT)
    exact_views: list[dict[str, Any]] = []
    for begin in range(0, len(text), size):
        fragment = text[begin : begin + size]
        exact_views.append(exact.feed(fragment))
        recent = math.floor(min(begin + size, len(text)) / (1 + lag) / size)
        assert growing.feed(fragment) in exact_views[max(0, recent - 1) :]
    assert growing.view() == json.loads(text)


def test_the_cost_is_linear() -> None:
    """A hundred thousand fragments are parsed a few hundred times, 21 times their length in all."""
    growing, parsed, length = PartialJson(lag=0.05), [], 0
    view: dict[str, Any] = {}
    for fragment in ['{"text": "', *["word "] * 100_000, '"}']:
        length += len(fragment)
        if (newest := growing.feed(fragment)) is not view:
            view = newest
            parsed.append(length)
    assert len(parsed) < 300
    assert sum(parsed) < 21 * length


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[1]", r"expected a JSON object, got '\['", id="an array"),
        pytest.param('"a"', "expected a JSON object, got '\"'", id="a string"),
        pytest.param("x", "expected value at line 1 column 1", id="no JSON"),
        pytest.param('{"a" 1}', "expected `:`", id="no object"),
        pytest.param('{"a": NaN}', "expected value", id="a number that JSON has not"),
    ],
)
def test_what_is_no_object_is_refused(text: str, message: str) -> None:
    """What cannot become a JSON object is an error as soon as it is read, and the text is still there."""
    growing = PartialJson(lag=EXACT)
    with pytest.raises(ValueError, match=message):
        _ = [growing.feed(character) for character in text]
    assert text.startswith(growing.text)


@pytest.mark.parametrize(
    ("text", "view"),
    [
        pytest.param('{"a": "see', {"a": "see"}, id="a string, to its last character"),
        pytest.param('{"a": "1 + 2', {"a": "1 + "}, id="but for what might be a number"),
        pytest.param('{"a": 1, "b": 2', {"a": 1}, id="a number that may go on"),
        pytest.param('{"a": [1.5e3, -', {"a": [1500.0]}, id="a number that has just begun"),
        pytest.param('{"a": tru', {}, id="a word that may go on"),
        pytest.param('{"a": true', {"a": True}, id="a word that is whole"),
    ],
)
def test_what_is_shown_of_what_is_not_whole(text: str, view: dict[str, Any]) -> None:
    """Strings are shown as they grow, anything else when it is whole."""
    assert PartialJson().feed(text) == view


def test_the_whole_must_be_whole() -> None:
    """A view of what is incomplete is no object: `whole` says so."""
    growing = PartialJson()
    assert growing.view() == growing.feed("") == growing.feed(" ") == {}
    assert growing.feed('{"a": 12') == {}
    with pytest.raises(ValueError, match="EOF"):
        growing.whole()
    growing.feed("0}")
    assert growing.whole() == {"a": 120}
    growing.feed("}")
    with pytest.raises(ValueError, match="trailing characters"):
        growing.whole()


def test_without_a_lag_it_would_be_quadratic() -> None:
    """A lag of nothing is refused."""
    with pytest.raises(ValueError, match="lag must be positive"):
        PartialJson(lag=0)
