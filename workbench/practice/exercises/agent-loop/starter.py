class TooManySteps(Exception):
    """The model has had max_steps turns, and still asks for tools."""


async def run_agent(model, tools, messages, max_steps):
    """Return the text of the model's answer."""
    message = await model(messages)
    return message["content"]
