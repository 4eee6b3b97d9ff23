import json


class NotUnderstood(ValueError):
    def __init__(self, raw, problems):
        super().__init__(f"{'; '.join(problems)} in {raw}")
        self.raw = raw


def problems_of(value):
    if type(value) is not dict:
        return ["the answer must be a JSON object"]
    found = [f"unknown field {name!r}" for name in value.keys() - {"city", "days"}]
    if type(value.get("city")) is not str or not value["city"]:
        found.append("'city' must be a text that is not empty")
    if type(value.get("days")) is not int or not 1 <= value["days"] <= 14:
        found.append("'days' must be a whole number from 1 to 14")
    return sorted(found)


async def extract(client, text, repairs):
    talk = [{"role": "system", "content": "Reply with JSON only."}, {"role": "user", "content": text}]
    left = repairs
    while True:
        reply = await client.chat.completions.create(model="gpt-5.5", messages=talk)
        raw = reply.choices[0].message.content
        try:
            value = json.loads(raw)
            problems = problems_of(value)
        except json.JSONDecodeError as error:
            problems = [f"this is no JSON: {error}"]
        if not problems:
            return value["city"], value["days"]
        if left == 0:
            raise NotUnderstood(raw, problems)
        left -= 1
        talk.append({"role": "assistant", "content": raw})
        talk.append({"role": "user", "content": "Please correct: " + "; ".join(problems)})
