import asyncio

from openai import APIStatusError


async def ask_all(client, prompts, budget):
    """Return the answers to all prompts; raise TimeoutError if they take more than `budget` seconds."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + budget
    create = client.with_options(max_retries=0).chat.completions.create

    async def ask(prompt):
        wait = 0.5
        while True:
            try:
                answer = await create(model="gpt-5.5", messages=[{"role": "user", "content": prompt}])
                return answer.choices[0].message.content
            except APIStatusError as error:
                if error.status_code != 429 and error.status_code < 500:
                    raise
                if clock() + wait > deadline:
                    raise TimeoutError(f"not answered within {budget} s") from error
            await asyncio.sleep(wait)
            wait = min(8, 2 * wait)

    async with asyncio.timeout_at(deadline):
        return [await ask(prompt) for prompt in prompts]
