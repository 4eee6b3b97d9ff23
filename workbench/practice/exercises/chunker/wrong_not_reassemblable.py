def chunk(text, size, overlap, count):
    if not (size >= 1 and 0 <= overlap < size):
        raise ValueError("need size >= 1 and 0 <= overlap < size")
    words, chunks, current = text.split(), [], []
    for word in words:
        if current and count(" ".join([*current, word])) > size:
            chunks.append(" ".join(current))
            kept = []
            while current and count(" ".join([current[-1], *kept])) <= overlap:
                kept.insert(0, current.pop())
            current = kept if count(" ".join([*kept, word])) <= size else []
        current.append(word)
    if current:
        chunks.append(" ".join(current))
    return chunks
