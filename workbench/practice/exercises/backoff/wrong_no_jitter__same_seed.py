import asyncio
import random

from openai import APIConnectionError, APIStatusError


async def retry(send, attempts, base, cap):
    chance = random.Random(42)
    ceiling = base
    while True:
        attempts -= 1
        try:
            return await send()
        except (APIStatusError, APIConnectionError) as error:
            status = getattr(error, "status_code", 500)
            if not attempts or not (status in (408, 409, 429) or status >= 500):
                raise
        await asyncio.sleep(chance.uniform(0, min(cap, ceiling)))
        ceiling *= 2
