class Overloaded(Exception):
    """There is no place: the call was not made."""


class Admission:
    def __init__(self, concurrency, queue):
        self.concurrency, self.queue = concurrency, queue

    async def run(self, call):
        """Await call() when there is a place, and give its result; raise Overloaded if the queue is full."""
        raise NotImplementedError
