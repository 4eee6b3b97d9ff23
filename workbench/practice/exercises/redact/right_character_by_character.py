import string

WORD = frozenset(string.ascii_letters + string.digits + "-_")
SHORTEST = len("sk-") + 20


class Redactor:
    def text(self, text):
        return "".join(self.stream([text]))

    def protect(self, handler):
        original = handler.format
        handler.format = lambda record: self.text(original(record))

    def stream(self, chunks):
        held, where = "", "outside"  # or "maybe": of a key; "key": in one; "word": in one that is no key
        for chunk in chunks:
            out = []
            for character in chunk:
                if character not in WORD:
                    out += held, character
                    held, where = "", "outside"
                elif where == "word":
                    out.append(character)
                elif where != "key":
                    held, where = held + character, "maybe"
                    if held[:3] != "sk-"[: len(held)]:
                        out.append(held)
                        held, where = "", "word"
                    elif len(held) == SHORTEST:
                        out.append("[redacted]")
                        held, where = "", "key"
            yield "".join(out)
        yield held
