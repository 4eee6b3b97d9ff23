import unicodedata


def chunk(text, size, overlap, count):
    if size < 1 or not 0 <= overlap < size:
        raise ValueError(f"{size=}, {overlap=}")
    places = [place for place in range(len(text) + 1) if may_cut(text, place)]
    each = len(text) / max(1, count(text))  # characters of a token
    chunks, start, end = [], 0, 0
    while end < len(text):
        end = max(place for place in places if place <= max(start + int(size * each), end + 8))
        chunks.append(text[start:end])
        start = min(place for place in places if place >= max(start + 1, end - int(overlap * each)))
    return chunks


def may_cut(text, place):
    if place in (0, len(text)):
        return True
    after, before = text[place], text[place - 1]
    return not (unicodedata.combining(after) or after in "\u200d\ufe0f" or before == "\u200d")
