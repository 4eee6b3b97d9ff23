import asyncio
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import openai


class Plan:
    def __init__(self, attempts, longest):
        self.attempts, self.longest, self.failed = attempts, longest, 0

    def wait_after(self, error):
        """Seconds, or None: give up."""
        self.failed += 1
        if self.failed >= self.attempts:
            return None
        match error.status_code, error.code:
            case (429, "insufficient_quota"):
                return None
            case (429 | 503, _):
                asked = self.asked(error.response.headers)
                return None if asked > self.longest else max(asked, self.own())
        return None

    def own(self):
        return random.uniform(0, min(8.0, 0.5 * 2 ** (self.failed - 1)))

    @staticmethod
    def asked(headers):
        for read in (
            lambda: float(headers["retry-after-ms"]) / 1000,
            lambda: float(headers["retry-after"]),
            lambda: (parsedate_to_datetime(headers["retry-after"]) - datetime.now(UTC)).total_seconds(),
        ):
            try:
                return read()
            except (KeyError, ValueError, TypeError):
                continue
        return 0.0


async def retry(send, attempts, longest):
    plan = Plan(attempts, longest)
    while True:
        try:
            return await send()
        except openai.APIStatusError as error:
            wait = plan.wait_after(error)
            if wait is None:
                raise
        await asyncio.sleep(wait)
