from pydantic_core import from_json


def snapshots(fragments):
    text, known = "", None
    for fragment in fragments:
        text += fragment
        if text.strip():
            known = from_json(text, allow_partial="trailing-strings")
        yield known
