import logging
import re

KEY = re.compile(r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,}")


class RedactingFormatter(logging.Formatter):
    def __init__(self, inner, redact):
        super().__init__()
        self.inner, self.redact = inner, redact

    def format(self, record):
        return self.redact(self.inner.format(record))


class Redactor:
    def text(self, text):
        return KEY.sub("[redacted]", text)

    def protect(self, handler):
        handler.setFormatter(RedactingFormatter(handler.formatter or logging.Formatter(), self.text))

    def stream(self, chunks):
        for chunk in chunks:
            yield self.text(chunk)
