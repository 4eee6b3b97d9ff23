import asyncio
import json


class TooManySteps(Exception):
    pass


async def run_agent(model, tools, messages, max_steps):
    """One turn, and then the same with a longer conversation and one turn less."""
    if max_steps == 0:
        raise TooManySteps
    reply = await model(messages)
    match reply:
        case {"tool_calls": [_, *_] as calls}:
            pass
        case {"content": content}:
            return content
    pending = [prepare(tools, call["function"]) for call in calls]
    results = await asyncio.gather(*pending, return_exceptions=True)
    told = [
        {
            "role": "tool",
            "tool_call_id": call["id"],
            "content": result if isinstance(result, str) else json.dumps({"error": repr(result)}),
        }
        for call, result in zip(calls, results, strict=True)
    ]
    return await run_agent(model, tools, [*messages, reply, *told], max_steps - 1)


async def prepare(tools, function):
    tool = tools[function["name"]]
    arguments = tool.parameters(**json.loads(function["arguments"]))
    return await tool.run(**arguments.model_dump())
