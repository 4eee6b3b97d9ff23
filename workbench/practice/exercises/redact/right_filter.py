import logging
import re
import traceback

KEY = re.compile(r"(?<![\w-])sk-[A-Za-z0-9_-]{20,}", re.ASCII)
START = re.compile(r"(?<![\w-])(s|sk|sk-[A-Za-z0-9_-]*)$", re.ASCII)


class Clean(logging.Filter):
    def __init__(self, redact):
        super().__init__()
        self.redact = redact

    def filter(self, record):
        record.msg, record.args = self.redact(record.getMessage()), None
        if record.exc_info:
            text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            record.exc_text, record.exc_info = self.redact(text), None
        if record.stack_info:
            record.stack_info = self.redact(record.stack_info)
        return True


class Redactor:
    def text(self, text):
        return "[redacted]".join(KEY.split(text))

    def protect(self, handler):
        handler.addFilter(Clean(self.text))

    def stream(self, chunks):
        held, before = "", ""
        for chunk in chunks:
            held += chunk
            match = START.search(before + held)
            cut = match.start() - len(before) if match else len(held)
            ready = self.text(before + held[:cut])[len(before) :]
            before = (before + held[:cut])[-1:]
            held = held[cut:]
            if ready:
                yield ready
        yield self.text(before + held)[len(before) :]
