import json
from itertools import groupby


def openai(events):
    deltas = [
        delta
        for event in events
        for choice in event["choices"]
        for delta in choice["delta"].get("tool_calls") or ()
    ]
    deltas.sort(key=lambda delta: delta["index"])
    for _, group in groupby(deltas, key=lambda delta: delta["index"]):
        group = list(group)
        yield {
            "id": group[0]["id"],
            "name": group[0]["function"]["name"],
            "arguments": "".join(delta["function"].get("arguments") or "" for delta in group),
        }


def anthropic(events):
    for start in events:
        if start["type"] == "content_block_start" and start["content_block"]["type"] == "tool_use":
            pieces = (
                event["delta"].get("partial_json", "")
                for event in events
                if event["type"] == "content_block_delta" and event["index"] == start["index"]
            )
            block = start["content_block"]
            yield {"id": block["id"], "name": block["name"], "arguments": "".join(pieces)}


def tool_calls(events):
    events = list(events)
    read = openai if any("choices" in event for event in events) else anthropic
    return [{**call, "arguments": json.loads(call["arguments"] or "{}")} for call in read(events)]
