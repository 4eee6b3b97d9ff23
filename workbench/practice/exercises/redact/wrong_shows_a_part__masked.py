import logging
import re

KEY = re.compile(r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,}")
WORD = re.compile(r"[A-Za-z0-9_-]*\Z")


class RedactingFormatter(logging.Formatter):
    def __init__(self, inner, redact):
        super().__init__()
        self.inner, self.redact = inner, redact

    def format(self, record):
        return self.redact(self.inner.format(record))


class Redactor:
    def text(self, text):
        return KEY.sub(lambda match: f"{match[0][:5]}********{match[0][-2:]}", text)

    def protect(self, handler):
        handler.setFormatter(RedactingFormatter(handler.formatter or logging.Formatter(), self.text))

    def stream(self, chunks):
        held = ""
        for chunk in chunks:
            held += chunk
            end = WORD.search(held).start()
            if end:
                yield self.text(held[:end])
            held = held[end:]
        yield self.text(held)
