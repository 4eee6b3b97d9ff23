import asyncio

from openai import APIStatusError


async def ask_all(client, prompts, budget):
    create = client.with_options(max_retries=0).chat.completions.create
    left = budget

    async def ask(prompt):
        nonlocal left
        wait = 0.5
        while True:
            request = create(model="gpt-5.5", messages=[{"role": "user", "content": prompt}])
            try:
                answer = await asyncio.wait_for(request, left)
            except APIStatusError as error:
                if error.status_code != 429 and error.status_code < 500:
                    raise
                if wait >= left:
                    raise TimeoutError(f"not answered within {budget} s") from error
            else:
                return answer.choices[0].message.content
            await asyncio.sleep(wait)
            left -= wait
            wait = min(8, 2 * wait)

    return [await ask(prompt) for prompt in prompts]
