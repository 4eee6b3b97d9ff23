import anyio


class Research:
    def __init__(self, connection):
        self.connection, self.answers = connection, {}

    async def ask(self, place, question):
        self.answers[place] = await self.connection.ask(question)


async def research(connect, questions):
    connection = await connect()
    try:
        job = Research(connection)
        async with anyio.create_task_group() as group:
            for place, question in enumerate(questions):
                group.start_soon(job.ask, place, question)
        return [job.answers[place] for place in range(len(questions))]
    finally:
        with anyio.CancelScope(shield=True):
            await connection.close()
