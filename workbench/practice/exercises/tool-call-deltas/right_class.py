from dataclasses import dataclass, field
from json import loads


@dataclass
class Call:
    id: str = ""
    name: str = ""
    text: str = ""

    def as_dict(self):
        return {"id": self.id, "name": self.name, "arguments": loads(self.text) if self.text else {}}


@dataclass
class Accumulator:
    calls: dict[int, Call] = field(default_factory=dict)

    def openai(self, chunk):
        for choice in chunk["choices"]:
            for delta in choice["delta"].get("tool_calls") or []:
                call = self.calls.setdefault(delta["index"], Call())
                call.id = call.id or delta.get("id") or ""
                function = delta.get("function") or {}
                call.name = call.name or function.get("name") or ""
                call.text += function.get("arguments") or ""

    def anthropic(self, event):
        match event:
            case {
                "type": "content_block_start",
                "index": index,
                "content_block": {"type": "tool_use"} as block,
            }:
                self.calls[index] = Call(block["id"], block["name"])
            case {"type": "content_block_delta", "index": index, "delta": {"partial_json": piece}}:
                self.calls[index].text += piece


def tool_calls(events):
    seen = Accumulator()
    for event in events:
        seen.openai(event) if "choices" in event else seen.anthropic(event)
    return [seen.calls[index].as_dict() for index in sorted(seen.calls)]
