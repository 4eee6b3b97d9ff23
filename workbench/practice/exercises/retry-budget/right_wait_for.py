import asyncio
import time

import openai


class Budget:
    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    @property
    def left(self):
        return self.end - time.monotonic()

    async def sleep(self, seconds):
        if seconds > self.left:
            raise TimeoutError("the wait would not end in time")
        await asyncio.sleep(seconds)


async def ask(client, prompt, budget):
    for attempt in range(1_000_000):
        request = client.chat.completions.create(
            model="gpt-5.5", messages=[{"role": "user", "content": prompt}]
        )
        try:
            answer = await asyncio.wait_for(request, budget.left)
            return answer.choices[0].message.content
        except (openai.RateLimitError, openai.InternalServerError):
            await budget.sleep(min(8, 0.5 * 2 ** min(attempt, 10)))


async def ask_all(client, prompts, budget):
    client = client.copy(max_retries=0)
    shared = Budget(budget)
    return [await ask(client, prompt, shared) for prompt in prompts]
