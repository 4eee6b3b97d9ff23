import logging
import re

KEY = re.compile(r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,}")
WORD = re.compile(r"[A-Za-z0-9_-]*\Z")


class Filter(logging.Filter):
    def __init__(self, redact):
        super().__init__()
        self.redact = redact

    def filter(self, record):
        record.msg = self.redact(str(record.msg))
        return True


class Redactor:
    def text(self, text):
        return KEY.sub("[redacted]", text)

    def protect(self, handler):
        handler.addFilter(Filter(self.text))

    def stream(self, chunks):
        held = ""
        for chunk in chunks:
            held += chunk
            end = WORD.search(held).start()
            if end:
                yield self.text(held[:end])
            held = held[end:]
        yield self.text(held)
