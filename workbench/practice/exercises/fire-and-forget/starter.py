class BackgroundLog:
    def __init__(self, send, report):
        """`await send(record)` writes a record; `report(record, error)` is told of one that it could not."""
        self.send, self.report = send, report

    def log(self, record):
        """Take a record, and return at once."""
        raise NotImplementedError

    async def close(self):
        """Return when every record that was logged has been sent, or reported."""
