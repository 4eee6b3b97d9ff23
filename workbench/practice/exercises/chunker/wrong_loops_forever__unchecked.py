import unicodedata


def graphemes(text):
    units = []
    for char in text:
        joined = units and (
            char == "\u200d"
            or units[-1].endswith("\u200d")
            or unicodedata.combining(char)
            or char == "\ufe0f"
        )
        if joined:
            units[-1] += char
        else:
            units.append(char)
    return units


def chunk(text, size, overlap, count):
    overlap = min(overlap, size - 1)
    units, chunks, first = graphemes(text), [], 0
    while first < len(units):
        last = first + 1
        while last < len(units) and count("".join(units[first : last + 1])) <= size:
            last += 1
        chunks.append("".join(units[first:last]))
        if last == len(units):
            break
        back = last
        while back - 1 > first and count("".join(units[back - 1 : last])) <= overlap:
            back -= 1
        while back < last and count("".join(units[back : last + 1])) > size:
            back += 1
        first = back
    return chunks
