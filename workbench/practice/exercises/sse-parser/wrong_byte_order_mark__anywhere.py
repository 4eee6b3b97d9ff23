def parse_events(chunks):
    """Yield (event, data) for each event of a stream, as soon as it is complete."""
    event, data = "", []
    for line in lines(chunks):
        text = line.decode("utf-8", "replace").replace("\ufeff", "")
        if not text:
            if data:
                yield event or "message", "\n".join(data)
            event, data = "", []
            continue
        field, _, value = text.partition(":")  # a comment has an empty field
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            event = value


def lines(chunks):
    """Yield each line that has ended, without its end: LF, CR or CRLF."""
    rest, after_cr = b"", False
    for chunk in chunks:
        if after_cr and chunk:  # this LF belongs to the CR that ended the last line
            chunk = chunk.removeprefix(b"\n")
            after_cr = False
        after_cr = after_cr or chunk.endswith(b"\r")
        *whole, rest = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        yield from whole
