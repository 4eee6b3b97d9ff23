def chunk(text, size, overlap, count):
    if not (size >= 1 and 0 <= overlap < size):
        raise ValueError("need size >= 1 and 0 <= overlap < size")
    units, chunks, first = list(text), [], 0
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
