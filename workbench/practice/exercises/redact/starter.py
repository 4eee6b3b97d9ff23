class Redactor:
    """Takes keys out of texts, logs and streams."""

    def text(self, text):
        raise NotImplementedError

    def protect(self, handler):
        raise NotImplementedError

    def stream(self, chunks):
        raise NotImplementedError
