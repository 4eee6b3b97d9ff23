import anyio
from pydantic import ValidationError


class TooManySteps(Exception):
    pass


def say(error):
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return f"{type(error).__name__}: {error}"


async def run_agent(model, tools, messages, max_steps):
    history, step = [*messages], 0
    while step < max_steps:
        step += 1
        message = await model(history)
        history.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            return message["content"]
        results = {}

        async def work(call, results=results):
            try:
                tool = tools[call["function"]["name"]]
                checked = tool.parameters.model_validate_json(call["function"]["arguments"])
                results[call["id"]] = await tool.run(**checked.model_dump())
            except Exception as error:
                results[call["id"]] = say(error)

        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(work, call)
        history += [{"role": "tool", "tool_call_id": each, "content": text} for each, text in results.items()]
    raise TooManySteps
