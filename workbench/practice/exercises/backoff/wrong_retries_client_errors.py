import asyncio
import random


async def retry(send, attempts, base, cap):
    for attempt in range(1, attempts + 1):
        try:
            return await send()
        except Exception:
            if attempt == attempts:
                raise
        await asyncio.sleep(random.uniform(0, min(cap, base * 2 ** (attempt - 1))))
