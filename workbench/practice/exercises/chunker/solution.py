import unicodedata
from bisect import bisect_left, bisect_right

JOINER = "\u200d"


def borders(text):
    """The places at which a text may be cut, its beginning and its end among them."""

    def inside(place):
        before, after = text[place - 1], text[place]
        return JOINER in (before, after) or unicodedata.combining(after) or after == "\ufe0f"

    return [0, *(place for place in range(1, len(text)) if not inside(place)), len(text)]


def chunk(text, size, overlap, count):
    """Return the chunks of a text, of at most `size` tokens, each overlapping the one before it."""
    if size < 1 or not 0 <= overlap < size:
        raise ValueError(f"an overlap is from 0 to less than the size, got {overlap=}, {size=}")
    places, chunks, start, end = borders(text), [], 0, 0

    def reach(start):
        """The last place up to which a chunk that begins at `start` fits."""
        return places[
            bisect_right(places, size, key=lambda place: count(text[start : max(start, place)])) - 1
        ]

    while end < len(text):
        if reach(start) <= end:
            start = end  # with the overlap, there is no room for anything new
        end = reach(start)
        chunks.append(text[start:end])
        least = bisect_right(places, start)
        start = places[
            bisect_left(places, -overlap, least, key=lambda place: -count(text[place : max(place, end)]))
        ]
    return chunks
