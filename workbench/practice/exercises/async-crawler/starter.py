async def crawl(fetch, start, workers, per_host):
    """Return a dict from each URL that can be reached to its links, or to the error of fetching it."""
    raise NotImplementedError
