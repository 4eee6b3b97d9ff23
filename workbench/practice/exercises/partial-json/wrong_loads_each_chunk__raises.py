import json


def snapshots(fragments):
    text = ""
    for fragment in fragments:
        text += fragment
        yield json.loads(text)
