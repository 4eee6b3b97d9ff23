import json


def tool_calls(events):
    calls = []
    for event in events:
        if "choices" in event:
            for choice in event["choices"]:
                for delta in choice["delta"].get("tool_calls") or []:
                    function = delta.get("function") or {}
                    if function.get("name") and delta.get("id") not in [call["id"] for call in calls]:
                        calls.append({"id": delta["id"], "name": function["name"], "text": ""})
                    calls[-1]["text"] += function.get("arguments") or ""
        elif event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            block = event["content_block"]
            calls.append({"id": block["id"], "name": block["name"], "text": ""})
        elif event["type"] == "content_block_delta" and "partial_json" in event["delta"]:
            calls[-1]["text"] += event["delta"]["partial_json"]
    return [{"id": c["id"], "name": c["name"], "arguments": json.loads(c["text"] or "{}")} for c in calls]
