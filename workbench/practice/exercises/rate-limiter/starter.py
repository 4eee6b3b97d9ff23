class RateLimiter:
    def __init__(self, rpm, tpm):
        self.rpm, self.tpm = rpm, tpm

    async def acquire(self, tokens):
        """Wait until one request of so many tokens may be sent."""

    async def refund(self, tokens):
        """Give back tokens that an estimate took too many."""
