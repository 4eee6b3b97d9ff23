import json


def tool_calls(events):
    names, texts = {}, {}
    for event in events:
        if "choices" in event:
            for choice in event["choices"]:
                for delta in choice["delta"].get("tool_calls") or []:
                    names.setdefault(delta["id"], delta["function"].get("name"))
                    texts[delta["id"]] = texts.get(delta["id"], "") + (
                        delta["function"].get("arguments") or ""
                    )
        elif event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            last = event["content_block"]["id"]
            names[last], texts[last] = event["content_block"]["name"], ""
        elif event["type"] == "content_block_delta" and "partial_json" in event["delta"]:
            texts[last] += event["delta"]["partial_json"]
    return [{"id": key, "name": names[key], "arguments": json.loads(texts[key] or "{}")} for key in names]
