import logging
import re

KEY = re.compile(r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,}")
WORD = re.compile(r"[A-Za-z0-9_-]*\Z")


class RedactingFormatter(logging.Formatter):
    """Cleans what another formatter has made of a record: message, arguments, traceback and all."""

    def __init__(self, inner, redact):
        super().__init__()
        self.inner, self.redact = inner, redact

    def format(self, record):
        return self.redact(self.inner.format(record))


class Redactor:
    """Takes keys out of texts, logs and streams."""

    def text(self, text):
        """The text without keys."""
        return KEY.sub("[redacted]", text)

    def protect(self, handler):
        """Let nothing that a handler writes have a key in it."""
        handler.setFormatter(RedactingFormatter(handler.formatter or logging.Formatter(), self.text))

    def stream(self, chunks):
        """Yield the chunks without keys; the last word, which may go on, waits."""
        held = ""
        for chunk in chunks:
            held += chunk
            end = WORD.search(held).start()
            if end:
                yield self.text(held[:end])
            held = held[end:]
        yield self.text(held)
