import asyncio


class TooManySteps(Exception):
    """The model has had max_steps turns, and still asks for tools."""


async def run_agent(model, tools, messages, max_steps):
    """Return the text of the model's answer."""
    conversation = list(messages)

    async def result(call):
        name = call["function"]["name"]
        try:
            arguments = tools[name].parameters.model_validate_json(call["function"]["arguments"])
        except (KeyError, ValueError) as error:
            content = f"Error: {error}"
        else:
            content = await tools[name].run(**dict(arguments))
        return {"role": "tool", "tool_call_id": call["id"], "content": content}

    for _ in range(max_steps):
        message = await model(conversation)
        calls = message.get("tool_calls")
        if not calls:
            return message["content"]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(result(call)) for call in calls]
        conversation += [message, *[task.result() for task in tasks]]
    raise TooManySteps(f"no answer after {max_steps} turns")
