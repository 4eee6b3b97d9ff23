import asyncio

from openai import APIStatusError


async def ask_all(client, prompts, budget):
    clock = asyncio.get_running_loop().time
    create = client.with_options(max_retries=0).chat.completions.create

    async def ask(prompt):
        wait, deadline = 0.5, clock() + budget
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

    answers = []
    for prompt in prompts:
        async with asyncio.timeout(budget):
            answers.append(await ask(prompt))
    return answers
