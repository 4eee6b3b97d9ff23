import asyncio


class TooManySteps(Exception):
    """The model has had max_steps turns, and still asks for tools."""


async def run_agent(model, tools, messages, max_steps):
    """Return the text of the model's answer."""
    conversation = list(messages)

    async def result(call):
        name = call["function"]["name"]
        if name not in tools:
            content = f"there is no tool {name!r}"
        else:
            arguments = tools[name].parameters.model_validate_json(call["function"]["arguments"])
            try:
                content = await tools[name].run(**dict(arguments))
            except Exception as error:
                content = str(error)
        return {"role": "tool", "tool_call_id": call["id"], "content": content}

    for _ in range(max_steps):
        message = await model(conversation)
        calls = message.get("tool_calls")
        if not calls:
            return message["content"]
        conversation += [message, *await asyncio.gather(*map(result, calls))]
    raise TooManySteps(f"no answer after {max_steps} turns")
