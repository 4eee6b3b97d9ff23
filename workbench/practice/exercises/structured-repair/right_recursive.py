from typing import NamedTuple

from pydantic import StrictInt, StrictStr, TypeAdapter, ValidationError
from typing_extensions import TypedDict


class Turn(NamedTuple):
    role: str
    content: str

    def wire(self):
        return self._asdict()


class Weather(TypedDict):
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012
    city: StrictStr
    days: StrictInt


WEATHER = TypeAdapter(Weather)


def check(raw):
    value = WEATHER.validate_json(raw)
    assert value["city"], "city is empty"
    assert 0 < value["days"] < 15, "days is not from 1 to 14"
    return value["city"], value["days"]


async def talk(client, turns, left):
    response = await client.chat.completions.create(model="gpt-5.5", messages=[turn.wire() for turn in turns])
    raw = response.choices[0].message.content
    try:
        return check(raw)
    except (ValidationError, AssertionError) as error:
        if not left:
            raise ValueError(f"gave up on {raw}") from error
        turns = [*turns, Turn("assistant", raw), Turn("user", f"Your JSON is invalid. {error}")]
    return await talk(client, turns, left - 1)


async def extract(client, text, repairs):
    return await talk(client, [Turn("user", f"City and days as JSON: {text}")], repairs)
