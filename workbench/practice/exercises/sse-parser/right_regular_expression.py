import re

# A CR at the very end of what has come ends a line at once; an LF that comes next belongs to it.
LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")
FIELD = re.compile(r"([^:]*)(?::\x20?(.*))?", re.DOTALL)


def parse_events(chunks):
    buffer, position, event, data = b"", 0, None, []
    cr_was_last, mark = False, "\ufeff"
    for chunk in chunks:
        buffer = buffer[position:] + chunk
        position = 1 if cr_was_last and buffer[:1] == b"\n" else 0
        if buffer:
            cr_was_last = False
        for match in LINE.finditer(buffer, position):
            position = match.end()
            cr_was_last = match[2] == b"\r" and position == len(buffer)
            line = match[1].decode("utf-8", "replace").removeprefix(mark)
            mark = ""
            if not line:
                if data:
                    yield (event or "message", "\n".join(data))
                event, data = None, []
                continue
            name, value = FIELD.fullmatch(line).groups("")
            if name == "data":
                data += [value]
            elif name == "event":
                event = value
