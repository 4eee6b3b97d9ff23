import codecs


def decode(chunks):
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)
