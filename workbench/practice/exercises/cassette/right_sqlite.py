import hashlib
import json
import pickle
import sqlite3

import httpx2


def digest(request, body):
    canonical = json.dumps(json.loads(body or b"null"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{request.method}|{request.url}|{canonical}".encode()).hexdigest()


class Stream(httpx2.AsyncByteStream):
    def __init__(self, make):
        self.make = make

    def __aiter__(self):
        return self.make()


class Cassette(httpx2.AsyncBaseTransport):
    def __init__(self, path, upstream, record):
        self.upstream, self.record = upstream, record
        self.db = sqlite3.connect(str(path), isolation_level=None)
        self.db.execute("CREATE TABLE IF NOT EXISTS tape (key TEXT PRIMARY KEY, answer BLOB)")
        if record:
            self.db.execute("DELETE FROM tape")

    async def handle_async_request(self, request):
        key = digest(request, await request.aread())
        if not self.record:
            row = self.db.execute("SELECT answer FROM tape WHERE key = ?", (key,)).fetchone()
            if row is None:
                raise LookupError(f"no recording of {request.method} {request.url} with this body")
            status, kind, chunks = pickle.loads(row[0])

            async def again():
                for chunk in chunks:
                    yield chunk

            return httpx2.Response(status, headers={"content-type": kind}, stream=Stream(again))
        response = await self.upstream.handle_async_request(request)
        inner, kind = response.stream, response.headers["content-type"]

        async def first():
            chunks = []
            async for chunk in inner:
                chunks.append(chunk)
                yield chunk
            answer = pickle.dumps((response.status_code, kind, chunks))
            self.db.execute("INSERT OR REPLACE INTO tape VALUES (?, ?)", (key, answer))

        return httpx2.Response(response.status_code, headers=response.headers, stream=Stream(first))
