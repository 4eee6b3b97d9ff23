import re
from itertools import chain

SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Redactor:
    pattern = re.compile(r"(^|[^A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,}")

    def text(self, text):
        return self.pattern.sub(r"\1[redacted]", text)

    def protect(self, handler):
        plain = handler.format
        handler.format = lambda record: self.text(plain(record))

    def stream(self, chunks):
        word = []
        for char in chain.from_iterable(chunks):
            if char in SAFE:
                word.append(char)
            else:
                if word:
                    yield self.text("".join(word))
                word = []
                yield char
        yield self.text("".join(word))
