import asyncio
from random import Random

chance = Random(7)


def passing(error):
    status = getattr(error, "status_code", None)
    if status is None:
        return type(error).__name__ in ("APIConnectionError", "APITimeoutError")
    return status >= 500 or status in {408, 409, 429}


async def retry(send, attempts, base, cap, ceiling=None):
    ceiling = base if ceiling is None else ceiling
    try:
        return await send()
    except Exception as error:
        if attempts <= 1 or not passing(error):
            raise
    await asyncio.sleep(chance.uniform(0.0, min(cap, ceiling)))
    return await retry(send, attempts - 1, base, cap, 2 * ceiling)
