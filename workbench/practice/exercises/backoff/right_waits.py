import asyncio
import itertools
import random

import openai

FOR_GOOD = (
    openai.BadRequestError,
    openai.AuthenticationError,
    openai.PermissionDeniedError,
    openai.NotFoundError,
    openai.UnprocessableEntityError,
)


def waits(attempts, base, cap):
    for ceiling in itertools.islice((base * 2**n for n in itertools.count()), attempts - 1):
        yield random.random() * min(cap, ceiling)


async def retry(send, attempts, base, cap):
    for wait in waits(attempts, base, cap):
        try:
            return await send()
        except FOR_GOOD:
            raise
        except (openai.APIStatusError, openai.APIConnectionError) as error:
            if getattr(error, "status_code", 500) in (402, 405, 413, 415):
                raise
            await asyncio.sleep(wait)
    return await send()
