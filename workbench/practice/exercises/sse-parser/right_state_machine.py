import codecs
from collections.abc import Iterable, Iterator


class Parser:
    def __init__(self) -> None:
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self.line, self.after_cr = [], False
        self.event, self.data = "", []

    def feed(self, chunk: bytes) -> Iterator[tuple[str, str]]:
        for character in self.decoder.decode(chunk):
            ends = character in "\r\n"
            if character == "\n" and self.after_cr:
                self.after_cr = False
                continue
            self.after_cr = character == "\r"
            if not ends:
                self.line.append(character)
                continue
            line, self.line = "".join(self.line), []
            if line:
                self.field(line)
            else:
                if self.data:
                    yield self.event or "message", "\n".join(self.data)
                self.event, self.data = "", []

    def field(self, line: str) -> None:
        if line[0] == ":":
            return
        name, _, value = line.partition(":")
        value = value[1:] if value[:1] == " " else value
        match name:
            case "data":
                self.data.append(value)
            case "event":
                self.event = value


def parse_events(chunks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    parser = Parser()
    for chunk in chunks:
        yield from parser.feed(chunk)
