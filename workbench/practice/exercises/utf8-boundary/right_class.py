import codecs


class Reader:
    def __init__(self, chunks):
        self.chunks = iter(chunks)
        self.decoder = codecs.lookup("utf-8").incrementaldecoder(errors="replace")
        self.done = False

    def __iter__(self):
        return self

    def __next__(self):
        if self.done:
            raise StopIteration
        chunk = next(self.chunks, None)
        self.done = chunk is None
        return self.decoder.decode(chunk or b"", self.done)


def decode(chunks):
    return Reader(chunks)
