import asyncio

from openai import APIStatusError


async def ask_all(client, prompts, budget):
    waited = 0.0
    create = client.with_options(max_retries=0).chat.completions.create

    async def ask(prompt):
        nonlocal waited
        wait = 0.5
        while True:
            try:
                answer = await create(model="gpt-5.5", messages=[{"role": "user", "content": prompt}])
                return answer.choices[0].message.content
            except APIStatusError as error:
                if error.status_code != 429 and error.status_code < 500:
                    raise
                if waited + wait > budget:
                    raise TimeoutError(f"not answered within {budget} s") from error
            await asyncio.sleep(wait)
            waited += wait
            wait = min(8, 2 * wait)

    return [await ask(prompt) for prompt in prompts]
