import json


def tool_calls(events):
    calls, texts = {}, {}
    for event in events:
        found = []
        for choice in event.get("choices", []):
            for delta in choice["delta"].get("tool_calls") or []:
                function = delta.get("function") or {}
                found.append(
                    (delta["index"], delta.get("id"), function.get("name"), function.get("arguments") or "")
                )
        if event.get("type") == "content_block_start" and event["content_block"]["type"] == "tool_use":
            found.append((event["index"], event["content_block"]["id"], event["content_block"]["name"], ""))
        elif event.get("type") == "content_block_delta" and "partial_json" in event["delta"]:
            found.append((event["index"], None, None, event["delta"]["partial_json"]))
        for index, call_id, name, piece in found:
            call = calls.setdefault(index, {"id": call_id, "name": name, "arguments": {}})
            texts[index] = texts.get(index, "") + piece
            try:
                call["arguments"], _ = json.JSONDecoder().raw_decode(texts[index])
            except json.JSONDecodeError:
                pass  # not complete yet
    return [calls[index] for index in sorted(calls)]
