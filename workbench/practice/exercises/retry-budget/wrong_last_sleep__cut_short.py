import asyncio
import itertools

from openai import APIStatusError


async def ask_all(client, prompts, budget):
    client, answers = client.with_options(max_retries=0), []
    async with asyncio.timeout(budget):
        for prompt in prompts:
            for attempt in itertools.count():
                try:
                    answer = await client.chat.completions.create(
                        model="gpt-5.5", messages=[{"role": "user", "content": prompt}]
                    )
                except APIStatusError as error:
                    if error.status_code != 429 and error.status_code < 500:
                        raise
                    await asyncio.sleep(min(8, 0.5 * 2**attempt))
                else:
                    answers.append(answer.choices[0].message.content)
                    break
    return answers
