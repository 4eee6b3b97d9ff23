class TooManySteps(Exception):
    """The model has had max_steps turns, and still asks for tools."""


async def run_agent(model, tools, messages, max_steps):
    """Return the text of the model's answer."""
    conversation = list(messages)

    async def result(call):
        """The answer to one call, whatever becomes of it: this never raises."""
        name = call["function"]["name"]
        try:
            if name not in tools:
                raise LookupError(f"there is no tool {name!r}, there are {', '.join(tools)}")
            arguments = tools[name].parameters.model_validate_json(call["function"]["arguments"])
            content = await tools[name].run(**dict(arguments))
        except Exception as error:
            content = f"Error: {type(error).__name__}: {error}"
        return {"role": "tool", "tool_call_id": call["id"], "content": content}

    for _ in range(max_steps):
        message = await model(conversation)
        calls = message.get("tool_calls")
        if not calls:
            return message["content"]
        conversation += [message, *[await result(call) for call in calls]]
    raise TooManySteps(f"no answer after {max_steps} turns")
