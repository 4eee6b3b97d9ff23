import asyncio
import json


class TooManySteps(Exception):
    pass


class Agent:
    def __init__(self, tools):
        self.tools = tools

    async def __call__(self, call):
        try:
            tool = self.tools[call["function"]["name"]]
            given = json.loads(call["function"]["arguments"])
            arguments = tool.parameters.model_validate(given, strict=False)
            content = await tool.run(**arguments.model_dump())
        except Exception as error:
            content = repr(error)
        return {"role": "tool", "tool_call_id": call["id"], "content": content}


async def run_agent(model, tools, messages, max_steps):
    agent = Agent(tools)
    for _ in range(max_steps):
        message = await model(messages)
        if not message.get("tool_calls"):
            return message["content"]
        messages = [*messages, message, *await asyncio.gather(*map(agent, message["tool_calls"]))]
    raise TooManySteps
