import re
import unicodedata

WORD = re.compile(r"\s*\S+|\s+$")


def pieces(text, size, count):
    """Words with the white space before them; of one that is too long, its characters."""
    for word in WORD.findall(text):
        if count(word) <= max(1, size // 4):
            yield word
            continue
        unit = ""
        for char in word:
            glued = unicodedata.combining(char) or char in "\u200d\ufe0f" or unit.endswith("\u200d")
            if unit and not glued:
                yield unit
                unit = ""
            unit += char
        yield unit


class Chunks:
    def __init__(self, size, overlap, count):
        self.size, self.overlap, self.count = size, overlap, count
        self.done, self.current, self.fresh = [], [], False

    def add(self, piece):
        if self.current and self.count("".join([*self.current, piece])) > self.size:
            self.flush()
            while self.current and self.count("".join([*self.current, piece])) > self.size:
                self.current.pop(0)
        self.current.append(piece)
        self.fresh = True

    def flush(self):
        if self.fresh:
            self.done.append("".join(self.current))
            self.fresh = False
        kept = []
        for piece in reversed(self.current):
            if self.count("".join([piece, *kept])) > self.overlap:
                break
            kept.insert(0, piece)
        self.current = kept


def chunk(text, size, overlap, count):
    if size < 1:
        raise ValueError(f"size must be at least 1, not {size}")
    if overlap not in range(size):
        raise ValueError(f"overlap must be from 0 to {size - 1}, not {overlap}")
    chunks = Chunks(size, overlap, count)
    for piece in pieces(text, size, count):
        chunks.add(piece)
    chunks.flush()
    return chunks.done
