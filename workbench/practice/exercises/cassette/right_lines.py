import json
from pathlib import Path

import httpx2


class Tape(httpx2.AsyncByteStream):
    def __init__(self, source, keep=None):
        self.source, self.keep = source, keep

    async def __aiter__(self):
        taken = []
        async for chunk in self.source:
            taken.append(chunk.hex())
            yield chunk
        if self.keep:
            self.keep(taken)


async def replay(chunks):
    for chunk in chunks:
        yield bytes.fromhex(chunk)


class Cassette(httpx2.AsyncBaseTransport):
    def __init__(self, path, upstream, record):
        self.path, self.upstream, self.recording = Path(path), upstream, record
        if record:
            self.path.write_text("")

    def find(self, asked):
        with self.path.open() as lines:
            for line in lines:
                entry = json.loads(line)
                if entry["asked"] == asked:
                    return entry
        raise LookupError(f"this request is not on the cassette: {asked}")

    async def handle_async_request(self, request):
        body = await request.aread()
        asked = [request.method, str(request.url), json.loads(body) if body else None]
        if not self.recording:
            entry = self.find(asked)
            return httpx2.Response(
                entry["status"],
                headers=[("content-type", entry["content_type"])],
                stream=Tape(replay(entry["chunks"])),
            )
        response = await self.upstream.handle_async_request(request)

        def keep(chunks):
            entry = {"asked": asked, "status": response.status_code, "chunks": chunks}
            entry["content_type"] = response.headers.get("content-type", "")
            with self.path.open("a") as file:
                file.write(json.dumps(entry) + "\n")

        response.stream = Tape(response.stream, keep)
        return response
