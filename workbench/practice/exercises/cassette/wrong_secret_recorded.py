import base64
import json
from pathlib import Path

import httpx2


class Chunks(httpx2.AsyncByteStream):
    def __init__(self, chunks):
        self.chunks = chunks

    async def __aiter__(self):
        for chunk in self.chunks:
            yield chunk


class Recorded(httpx2.AsyncByteStream):
    def __init__(self, body, done):
        self.body, self.done = body, done

    async def __aiter__(self):
        chunks = []
        async for chunk in self.body:
            chunks.append(chunk)
            yield chunk
        self.done(chunks)

    async def aclose(self):
        await self.body.aclose()


class Cassette(httpx2.AsyncBaseTransport):
    def __init__(self, path, upstream, record):
        self.path, self.upstream, self.record = Path(path), upstream, record
        self.entries = {} if record else json.loads(self.path.read_text())

    async def handle_async_request(self, request):
        key = identity(request.method, str(request.url), await request.aread())
        if self.record:
            return await self.recorded(key, request)
        if key not in self.entries:
            raise LookupError(f"not recorded in {self.path}: {key}")
        entry = self.entries[key]
        chunks = [base64.b64decode(chunk) for chunk in entry["chunks"]]
        headers = {"content-type": entry["type"]}
        return httpx2.Response(entry["status"], headers=headers, stream=Chunks(chunks))

    async def recorded(self, key, request):
        response = await self.upstream.handle_async_request(request)

        def done(chunks):
            self.entries[key] = {
                "request": dict(request.headers),
                "status": response.status_code,
                "type": response.headers["content-type"],
                "chunks": [base64.b64encode(chunk).decode() for chunk in chunks],
            }
            self.path.write_text(json.dumps(self.entries, indent=1))

        return httpx2.Response(
            response.status_code, headers=response.headers, stream=Recorded(response.stream, done)
        )


def identity(method, url, body):
    value = json.loads(body) if body else None
    return f"{method} {url} {json.dumps(value, sort_keys=True)}"
