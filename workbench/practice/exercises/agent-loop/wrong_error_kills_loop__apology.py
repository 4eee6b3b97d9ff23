import asyncio


class TooManySteps(Exception):
    pass


async def run_agent(model, tools, messages, max_steps):
    conversation = list(messages)

    async def run(call):
        tool = tools[call["function"]["name"]]
        arguments = tool.parameters.model_validate_json(call["function"]["arguments"])
        content = await tool.run(**arguments.model_dump())
        return {"role": "tool", "tool_call_id": call["id"], "content": content}

    for _ in range(max_steps):
        message = await model(conversation)
        calls = message.get("tool_calls")
        if not calls:
            return message["content"]
        try:
            results = await asyncio.gather(*map(run, calls))
        except Exception as error:
            return f"Sorry, something went wrong: {error}"
        conversation += [message, *results]
    raise TooManySteps
