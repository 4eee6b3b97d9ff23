import asyncio
import json
from dataclasses import dataclass


class TooManySteps(Exception):
    pass


@dataclass
class Agent:
    model: object
    tools: dict
    conversation: list

    async def step(self):
        message = await self.model(self.conversation)
        self.conversation.append(message)
        if "tool_calls" not in message or not message["tool_calls"]:
            return message["content"]
        async with asyncio.TaskGroup() as group:
            for call in message["tool_calls"]:
                group.create_task(self.answer(call["id"], **call["function"]))
        return None

    async def answer(self, id, name, arguments):
        self.conversation.append(
            {"role": "tool", "tool_call_id": id, "content": await self.run(name, arguments)}
        )

    async def run(self, name, arguments):
        try:
            tool = self.tools[name]
        except KeyError:
            return f"unknown tool {name}"
        try:
            values = tool.parameters.model_validate(json.loads(arguments))
        except ValueError as error:
            return f"these arguments do not fit: {error}"
        try:
            return str(await tool.run(**values.model_dump()))
        except Exception as error:
            return f"the tool failed: {error!r}"


async def run_agent(model, tools, messages, max_steps):
    agent = Agent(model, tools, [*messages])
    for _ in range(max_steps):
        if (answer := await agent.step()) is not None:
            return answer
    raise TooManySteps
