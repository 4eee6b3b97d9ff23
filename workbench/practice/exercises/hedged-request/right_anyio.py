import anyio


class Race:
    def __init__(self, prompt):
        self.prompt, self.answer, self.errors = prompt, None, []
        self.failed = anyio.Event()

    async def run(self, replica, scope):
        try:
            self.answer = (await replica(self.prompt),)
            scope.cancel()
        except Exception as error:
            self.errors.append(error)
            self.failed.set()


async def hedged(first, second, prompt, delay):
    race = Race(prompt)
    async with anyio.create_task_group() as group:
        group.start_soon(race.run, first, group.cancel_scope)
        with anyio.move_on_after(delay):
            await race.failed.wait()
        group.start_soon(race.run, second, group.cancel_scope)
    if race.answer:
        return race.answer[0]
    raise ExceptionGroup("both replicas failed", race.errors)
