import asyncio


async def collect(sources, query, seconds, limit):
    places = asyncio.Semaphore(limit)

    async def ask(name):
        async with places:
            return await sources[name](query)

    try:
        found = await asyncio.wait_for(
            asyncio.gather(*map(ask, sources), return_exceptions=True), timeout=seconds
        )
    except TimeoutError as error:
        return {}, dict.fromkeys(sources, error)
    pairs = dict(zip(sources, found, strict=True))
    missing = {name: each for name, each in pairs.items() if isinstance(each, Exception)}
    return {name: each for name, each in pairs.items() if name not in missing}, missing
