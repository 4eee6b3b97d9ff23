import asyncio
import random

from openai import APIConnectionError, APIStatusError


def may_pass(error):
    if isinstance(error, APIStatusError):
        return error.status_code in (408, 409, 429) or error.status_code >= 500
    return isinstance(error, APIConnectionError)


async def retry(send, attempts, base, cap):
    for attempt in range(1, attempts + 1):
        try:
            return await send()
        except Exception as error:
            if not may_pass(error):
                raise
            last = error
        await asyncio.sleep(random.uniform(0, min(cap, base * 2 ** (attempt - 1))))
    raise last
