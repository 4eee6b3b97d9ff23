import asyncio
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from openai import APIStatusError


def asked_for(headers):
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return float(milliseconds) / 1000
    except ValueError:
        pass
    value = headers.get("retry-after", "")
    try:
        return float(value)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return (date - datetime.now(UTC)).total_seconds()


async def retry(send, attempts, longest):
    for attempt in range(1, attempts + 1):
        try:
            return await send()
        except APIStatusError as error:
            asked = asked_for(error.response.headers)
            hopeless = error.status_code not in (429, 503) or error.code == "insufficient_quota"
            if error.status_code != 429:
                asked = 0.0
            if hopeless or attempt == attempts or asked > longest:
                raise
        backoff = random.uniform(0, min(8, 0.5 * 2 ** (attempt - 1)))
        await asyncio.sleep(max(backoff, asked))
