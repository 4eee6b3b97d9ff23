class Prompt:
    """A conversation to be sent to a model."""

    def __init__(self, system: str | None = None):
        raise NotImplementedError

    def add(self, role, content):
        raise NotImplementedError

    def to_wire(self):
        raise NotImplementedError
