import asyncio
from dataclasses import dataclass, field


@dataclass
class Asker:
    client: object
    places: asyncio.Semaphore
    results: dict[int, object] = field(default_factory=dict)

    async def ask(self, index: int, prompt: str) -> None:
        async with self.places:
            try:
                answer = await self.client.chat.completions.create(
                    model="gpt-5.5", messages=[{"role": "user", "content": prompt}]
                )
                self.results[index] = answer.choices[0].message.content
            except Exception as error:
                self.results[index] = error


async def fan_out(client, prompts, limit):
    asker = Asker(client, asyncio.Semaphore(limit))
    async with asyncio.TaskGroup() as group:
        for index, prompt in enumerate(prompts):
            group.create_task(asker.ask(index, prompt))
    return [asker.results[index] for index in range(len(prompts))]
