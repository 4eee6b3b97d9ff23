class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report

    async def log(self, record):
        try:
            await self.send(record)
        except Exception as error:
            self.report(record, error)

    async def close(self):
        pass
