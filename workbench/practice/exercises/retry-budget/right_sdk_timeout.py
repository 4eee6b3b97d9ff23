import asyncio
import itertools

import openai


async def ask_all(client, prompts, budget):
    loop = asyncio.get_running_loop()
    start = loop.time()

    def left():
        remaining = budget - (loop.time() - start)
        if remaining <= 0:
            raise TimeoutError
        return remaining

    answers = []
    for prompt in prompts:
        for wait in itertools.chain([0.5, 1, 2, 4], itertools.repeat(8)):
            try:
                answer = await client.with_options(max_retries=0, timeout=left()).chat.completions.create(
                    model="gpt-5.5", messages=[{"role": "user", "content": prompt}]
                )
            except openai.APITimeoutError as error:
                raise TimeoutError from error
            except (openai.RateLimitError, openai.InternalServerError) as error:
                if wait > left():
                    raise TimeoutError from error
                await asyncio.sleep(wait)
            else:
                answers.append(answer.choices[0].message.content)
                break
    return answers
