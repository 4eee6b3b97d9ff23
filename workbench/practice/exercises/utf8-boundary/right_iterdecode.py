import codecs


def decode(chunks):
    return codecs.iterdecode(chunks, "utf-8", errors="replace")
