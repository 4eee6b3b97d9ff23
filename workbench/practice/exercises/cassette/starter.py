import httpx2


class Cassette(httpx2.AsyncBaseTransport):
    """Records what goes through it, or replays what was recorded."""

    def __init__(self, path, upstream, record):
        self.upstream = upstream

    async def handle_async_request(self, request):
        return await self.upstream.handle_async_request(request)
