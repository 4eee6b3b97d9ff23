import asyncio
import email.utils
import random
import time

import openai


def parse(name, value):
    if name == "retry-after-ms":
        return float(value) / 1000
    if parts := email.utils.parsedate_tz(value):
        return email.utils.mktime_tz(parts) - time.time()
    return float(value)


def floor(response):
    for name in ("retry-after-ms", "retry-after"):
        if name in response.headers:
            try:
                return max(0, parse(name, response.headers[name]))
            except ValueError:
                continue
    return 0


async def retry(send, attempts, longest):
    left = attempts
    while True:
        left -= 1
        try:
            return await send()
        except openai.APIStatusError as error:
            if error.status_code != 503 and (error.status_code != 429 or error.code == "insufficient_quota"):
                raise
            wait = floor(error.response)
            if not left or wait > longest:
                raise
            jitter = random.random() * min(8, 0.5 * 2 ** (attempts - left - 1))
            await asyncio.sleep(wait + jitter)  # spread out behind the floor
