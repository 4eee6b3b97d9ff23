from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Asked(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    city: Annotated[str, Field(min_length=1)]
    days: Annotated[int, Field(ge=1, le=14)]


async def extract(client, text, repairs):
    question = f'Answer with nothing but JSON, {{"city": text, "days": whole number from 1 to 14}}.\n\n{text}'
    messages = [{"role": "user", "content": question}]
    for _ in range(repairs + 1):
        completion = await client.chat.completions.create(model="gpt-5.5", messages=messages)
        answer = completion.choices[0].message.content
        try:
            asked = Asked.model_validate_json(answer)
        except ValidationError:
            pass
        else:
            return asked.city, asked.days
        messages += [
            {"role": "assistant", "content": answer},
            {"role": "user", "content": "That is wrong. Answer with JSON that has the fields city and days."},
        ]
    raise ValueError(f"no right answer after {repairs} repairs; the last one was: {answer}")
