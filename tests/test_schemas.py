"""JSON that satisfies a schema, judged by `jsonschema`."""

import random
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ConfigurationError
from workbench.simulator.schemas import sample

KEYWORDS = """
    type enum const $ref anyOf allOf oneOf properties required items prefixItems minItems maxItems
    minimum maximum multipleOf pattern format minLength additionalProperties
""".split()  # noqa: SIM905 - one word a line would fill the page
SEEDS = st.integers(0, 2**32)
HINTS = st.sampled_from(["", "In Paris, Anna Müller and 12 others walk -3.5 km. Then 7 go.", "x " * 50])


def bounds(low: str, high: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """No, one or two bounds, in the right order."""
    pairs = st.tuples(values, values).map(sorted)
    return st.builds(
        lambda pair, kept: {k: v for k, v in zip((low, high), pair, strict=True) if k in kept},
        pairs,
        st.sets(st.sampled_from([low, high])),
    )


def of(kind: str, *keywords: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A schema of one type, with some of its keywords."""
    return st.tuples(*keywords).map(
        lambda parts: {"type": kind} | {k: v for p in parts for k, v in p.items()}
    )


NAMES = st.text("abcdefgh", min_size=1, max_size=4)
INTEGERS = of(
    "integer",
    bounds("minimum", "maximum", st.integers(-50, 50)),
    st.sampled_from([{}, {"multipleOf": 1}, {"exclusiveMinimum": -51}, {"exclusiveMaximum": 51}]),
)
NUMBERS = of(
    "number",
    bounds("minimum", "maximum", st.floats(-50, 50).map(lambda x: round(x, 1))),
    st.sampled_from([{}, {"exclusiveMinimum": -60}, {"exclusiveMaximum": 60.5}]),
)
FORMATS = ["date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"]
STRINGS = of("string", bounds("minLength", "maxLength", st.integers(0, 30))) | of(
    "string",
    st.sampled_from(
        [{"format": form} for form in FORMATS]
        + [{"pattern": p} for p in (r"^[A-Z]{2}\d{3}$", r"^\+\d{1,3}-\d+$", "ab|cd", r"^[^@\s]+@x\.org$")]
        + [{"pattern": "^a*$", "maxLength": 20, "minLength": 2}]
    ),
)
LEAVES = (
    INTEGERS
    | NUMBERS
    | STRINGS
    | st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": 3}, {"type": ["string", "null"]}])
    | st.lists(st.integers() | NAMES, min_size=1, unique_by=repr).map(lambda values: {"enum": values})
)


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some properties required, open or closed."""
    return st.builds(
        lambda properties, closed, all_required: {
            "type": "object",
            "properties": properties,
            "required": sorted(properties)[: None if all_required else 1],
            **({"additionalProperties": False} if closed else {}),
        },
        st.dictionaries(NAMES, inner, max_size=4),
        st.booleans(),
        st.booleans(),
    )


def arrays(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Arrays of one kind of item, or of a fixed sequence."""
    return st.builds(
        lambda items, size: {"type": "array", "items": items} | size,
        inner,
        bounds("minItems", "maxItems", st.integers(0, 4)),
    ) | st.lists(inner, min_size=1, max_size=3).map(
        lambda items: {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    )


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: (
        objects(inner)
        | arrays(inner)
        | st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
        | inner.map(lambda schema: {"allOf": [schema, {"description": "the same"}]})
        | inner.map(lambda schema: {"$ref": "#/$defs/x", "$defs": {"x": schema}})
    ),
    max_leaves=8,
)


def hoist(schema: Any, found: dict[str, Any]) -> Any:
    """Move all definitions to the root, where references look for them."""
    if isinstance(schema, list):
        return [hoist(item, found) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$defs" in schema:
        name = f"d{len(found)}"
        found[name] = None
        found[name] = hoist(schema["$defs"]["x"], found)
        return {"$ref": f"#/$defs/{name}"}
    return {key: hoist(value, found) for key, value in schema.items()}


@given(SCHEMAS, SEEDS, HINTS)
def test_a_sample_satisfies_its_schema(schema: dict[str, Any], seed: int, hints: str) -> None:
    """Whatever of the supported keywords a schema combines, its sample is valid."""
    found: dict[str, Any] = {}
    schema = hoist(schema, found) | {"$defs": found}
    value = sample(schema, random.Random(seed), hints)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)


@given(SCHEMAS, SEEDS)
def test_a_sample_depends_on_the_seed_alone(schema: dict[str, Any], seed: int) -> None:
    """The same seed gives the same value."""
    found: dict[str, Any] = {}
    schema = hoist(schema, found) | {"$defs": found}
    assert sample(schema, random.Random(seed)) == sample(schema, random.Random(seed))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYWORDS)
                | st.sampled_from(["object", "array", "string", "integer", "number"]),
                inner,
                max_size=4,
            )
        ),
    ).filter(lambda value: isinstance(value, dict)),
    SEEDS,
)
def test_nonsense_is_refused_in_words(schema: Any, seed: int) -> None:
    """Whatever JSON stands for a schema, there is a value or a ConfigurationError."""
    with suppress(ConfigurationError):
        sample(schema, random.Random(seed))


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "integer", "multipleOf": 2.5, "minimum": 1, "maximum": 5}, id="half steps"),
        pytest.param({"type": "integer", "exclusiveMinimum": 10.5, "maximum": 11}, id="between"),
        pytest.param({"type": "number", "multipleOf": 3, "exclusiveMinimum": 10, "maximum": 12}, id="one"),
        pytest.param({"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 1}, id="cents"),
        pytest.param({"type": "number", "exclusiveMinimum": 12, "exclusiveMaximum": 12.001}, id="narrow"),
        pytest.param({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True}, id="unique"),
        pytest.param({"type": "array", "maxItems": 0}, id="empty"),
        pytest.param({"required": ["a"], "minProperties": 3}, id="more properties"),
        pytest.param({"oneOf": [{"type": "string"}, {"type": "integer"}]}, id="one of"),
        pytest.param(
            {
                "properties": {"a": {"type": "string"}},
                "allOf": [{"properties": {"a": {"minLength": 20}}}, {"required": ["a"]}],
            },
            id="a property in two parts",
        ),
        pytest.param({"type": "array", "items": True}, id="anything"),
        pytest.param(
            {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True, "maxItems": 9}, id="few values"
        ),
        pytest.param(
            {
                "$defs": {
                    "node": {
                        "type": ["object", "null"],
                        "properties": {"next": {"$ref": "#/$defs/node"}},
                        "required": ["next"],
                    }
                },
                "$ref": "#/$defs/node",
            },
            id="null at the end",
        ),
        pytest.param(
            {
                "allOf": [
                    {"type": "string", "minLength": 2, "maxLength": 9, "required": ["a"]},
                    {"type": "string", "minLength": 5, "maxLength": 7, "required": ["b"]},
                ]
            },
            id="the tighter bound",
        ),
        pytest.param({"allOf": [{"type": "number"}, {"type": "integer"}]}, id="both kinds of number"),
        pytest.param({"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]}, id="shared values"),
        pytest.param(
            {
                "$defs": {
                    "node": {
                        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                        "required": ["next"],
                    }
                },
                "$ref": "#/$defs/node",
            },
            id="a chain",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
                "required": ["children"],
            },
            id="a tree",
        ),
    ],
)
def test_awkward_schemas(schema: dict[str, Any]) -> None:
    """Bounds that leave little, references to oneself and parts that overlap are satisfied, too."""
    for seed in range(50):
        value = sample(schema, random.Random(seed), "Anna, 12 of them")
        jsonschema.validate(value, schema)


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        pytest.param({"type": "integer", "minimum": 3, "maximum": 2}, "no number satisfies", id="bounds"),
        pytest.param(
            {"type": "integer", "multipleOf": 9, "minimum": 1, "maximum": 8}, "no multiple", id="step"
        ),
        pytest.param(
            {"type": "number", "exclusiveMinimum": 1, "maximum": 1}, "no number satisfies", id="open"
        ),
        pytest.param(
            {"type": "number", "multipleOf": 0.1, "minimum": 0.299, "maximum": 0.3001}, "found no", id="0.3"
        ),
        pytest.param({"type": "number", "minimum": "1"}, "no JSON schema", id="text for a number"),
        pytest.param({"type": "string", "minLength": 3, "maxLength": 2}, "no text", id="lengths"),
        pytest.param({"type": "string", "pattern": "("}, "pattern", id="broken pattern"),
        pytest.param({"type": "string", "pattern": "^a$", "minLength": 2}, "pattern", id="pattern too short"),
        pytest.param({"type": "colour"}, "type must be one of", id="type"),
        pytest.param({"$ref": "#/nowhere"}, "nothing at", id="dangling"),
        pytest.param({"$ref": "#/type", "type": "string"}, "not to a schema", id="no schema there"),
        pytest.param({"$ref": "#"}, "round in circles", id="circle"),
        pytest.param({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "no JSON schema", id="endless"),
        pytest.param({"allOf": [3]}, "must be an object", id="no object"),
        pytest.param(
            {"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True}, "no 2", id="same"
        ),
    ],
)
def test_a_schema_that_nothing_satisfies(schema: dict[str, Any], complaint: str) -> None:
    """A schema that contradicts itself is refused, and the message says why."""
    with pytest.raises(ConfigurationError, match=complaint):
        sample(schema, random.Random(1))


def test_words_of_the_prompt_are_used() -> None:
    """Names and numbers of the prompt stand in for texts and numbers, each once."""
    schema = {
        "properties": {"city": {"type": "string"}, "who": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "who", "days"],
    }
    value = sample(schema, random.Random(0), "What is it like in Zürich for Anna Müller, 3 days long?")
    assert value == {"city": "Zürich", "who": "Anna Müller", "days": 3}
