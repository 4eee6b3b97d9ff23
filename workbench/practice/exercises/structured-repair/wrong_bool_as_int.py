import json


def problem(value):
    if not isinstance(value, dict) or set(value) != {"city", "days"}:
        return "an object with city and days is needed"
    if not isinstance(value["city"], str) or not value["city"]:
        return "city must be a text"
    if not isinstance(value["days"], int) or not 1 <= value["days"] <= 14:
        return "days must be a whole number from 1 to 14"
    return None


async def extract(client, text, repairs):
    messages = [{"role": "user", "content": f"As JSON with city and days: {text}"}]
    for _ in range(1 + repairs):
        completion = await client.chat.completions.create(model="gpt-5.5", messages=messages)
        answer = completion.choices[0].message.content
        try:
            value = json.loads(answer)
            wrong = problem(value)
        except ValueError as error:
            wrong = f"it is no JSON: {error}"
        if wrong is None:
            return value["city"], value["days"]
        messages.append({"role": "assistant", "content": answer})
        messages.append({"role": "user", "content": f"Wrong: {wrong}"})
    raise ValueError(f"cannot be repaired: {answer}")
