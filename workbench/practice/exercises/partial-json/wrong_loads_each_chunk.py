import json


def snapshots(fragments):
    text, known = "", None
    for fragment in fragments:
        text += fragment
        try:
            known = json.loads(text)
        except json.JSONDecodeError:
            pass
        yield known
