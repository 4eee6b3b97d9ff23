import asyncio
import random

from openai import APIConnectionError, APIStatusError


async def retry(send, attempts, base, cap):
    for attempt in range(1, attempts + 1):
        try:
            return await send()
        except (APIStatusError, APIConnectionError) as error:
            status = getattr(error, "status_code", 500)
            if attempt == attempts or not (status in (408, 409, 429) or status >= 500):
                raise
        await asyncio.sleep(min(cap, base * 2 ** (attempt - 1)) * (1 - 0.1 * random.random()))
