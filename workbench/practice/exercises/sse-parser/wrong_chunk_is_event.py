def parse_events(chunks):
    for chunk in chunks:
        event, data = "message", []
        for line in chunk.decode("utf-8-sig", "replace").splitlines():
            field, _, value = line.partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
            elif field == "event":
                event = value.removeprefix(" ")
        if data:
            yield event, "\n".join(data)
