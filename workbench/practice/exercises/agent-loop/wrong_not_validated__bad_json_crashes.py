import asyncio
import json


class TooManySteps(Exception):
    """The model has had max_steps turns, and still asks for tools."""


async def run_agent(model, tools, messages, max_steps):
    """Return the text of the model's answer."""
    conversation = list(messages)

    async def result(call):
        name = call["function"]["name"]
        arguments = json.loads(call["function"]["arguments"])
        try:
            arguments = tools[name].parameters.model_validate(arguments)
            content = await tools[name].run(**dict(arguments))
        except Exception as error:
            content = f"Error: {type(error).__name__}: {error}"
        return {"role": "tool", "tool_call_id": call["id"], "content": content}

    for _ in range(max_steps):
        message = await model(conversation)
        calls = message.get("tool_calls")
        if not calls:
            return message["content"]
        conversation += [message, *await asyncio.gather(*map(result, calls))]
    raise TooManySteps(f"no answer after {max_steps} turns")
