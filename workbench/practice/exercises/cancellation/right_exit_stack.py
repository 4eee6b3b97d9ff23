import asyncio
import contextlib


@contextlib.asynccontextmanager
async def started(coroutines):
    """The coroutines as tasks, of which none is left after the block."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        yield tasks
    finally:
        late = [task for task in tasks if task.cancel()]
        if late:
            await asyncio.wait(late)


async def research(connect, questions):
    async with contextlib.AsyncExitStack() as stack:
        connection = await connect()
        stack.push_async_callback(connection.close)
        tasks = await stack.enter_async_context(started(map(connection.ask, questions)))
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done() and task.exception():
                raise task.exception()
        return [task.result() for task in tasks]
