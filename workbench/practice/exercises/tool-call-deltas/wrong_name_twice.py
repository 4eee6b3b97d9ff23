import json


def fragments(event):
    """Yield (index, id, name, text) for each piece of a call in an event of either provider."""
    for choice in event.get("choices", ()):
        for delta in choice["delta"].get("tool_calls") or ():
            function = delta.get("function") or {}
            yield delta["index"], delta.get("id"), function.get("name"), function.get("arguments") or ""
    if event.get("type") == "content_block_start" and event["content_block"]["type"] == "tool_use":
        yield event["index"], event["content_block"]["id"], event["content_block"]["name"], ""
    elif event.get("type") == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
        yield event["index"], None, None, event["delta"]["partial_json"]


def tool_calls(events):
    calls = {}
    for event in events:
        for index, call_id, name, text in fragments(event):
            call = calls.setdefault(index, {"id": None, "name": "", "pieces": []})
            call["id"] = call_id or call["id"]
            call["name"] += name or ""
            call["pieces"].append(text)
    return [
        {"id": call["id"], "name": call["name"], "arguments": json.loads("".join(call["pieces"]) or "{}")}
        for _, call in sorted(calls.items())
    ]
