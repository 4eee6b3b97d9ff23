import json

from pydantic import BaseModel, ConfigDict

from workbench.practice.probes import peak

SECONDS = {"tides": 0.8, "snow": 0.6, "more": 0.2}  # of a search


class Weather(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    city: str
    days: int = 1


class Search(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    query: str


class Tool:
    """A tool, and what it was run with."""

    def __init__(self, lab, name, parameters, answer, takes=1.0):
        self.parameters, self.ran = parameters, []
        self._service = lab.service(answer, takes=takes, name=name)

    async def run(self, **arguments):
        self.ran.append(arguments)
        return await self._service(*arguments.values())


def calls(*asked, first=1):
    """A message of the model's that asks for these tools: (name, arguments)."""
    texts = [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for _, each in asked]
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": text}}
            for number, ((name, _), text) in enumerate(zip(asked, texts, strict=True), start=first)
        ],
    }


def answer(text):
    return {"role": "assistant", "content": text}


class Agent:
    """A model that says what the check has written down, two tools, and the conversations that it saw."""

    def __init__(self, task, lab, *turns, weather="sunny"):
        self.task, self.lab, self.turns = task, lab, turns
        self.seen = []
        self.model = lab.service(self.turn, takes=0.5, name="model")
        self.tools = {
            "weather": Tool(lab, "weather", Weather, weather),
            "search": Tool(lab, "search", Search, lambda query: f"found {query}", SECONDS.get),
        }

    def turn(self, messages, *rest):
        self.seen.append(json.loads(json.dumps(list(messages), default=repr)))
        return json.loads(json.dumps(self.turns[min(len(self.seen), len(self.turns)) - 1]))

    async def run(self, max_steps=10):
        messages = [{"role": "user", "content": "What is the weather like?"}]
        return await self.lab.call(self.task, self.model, self.tools, messages, max_steps)

    def results(self, turn=1):
        """What the model was told before that turn, as {id: content}; {} if it had none."""
        seen = self.seen[turn] if len(self.seen) > turn else []
        return {each.get("tool_call_id"): each.get("content") for each in seen if each.get("role") == "tool"}

    def ran(self):
        return [arguments for tool in self.tools.values() for arguments in tool.ran]


def named(ids):
    return ", ".join(map(str, ids)) or "none"


def told(outcome):
    if outcome.hung:
        return "it never ended"
    return f"it raised {describe(outcome.error)}" if outcome.error else f"it returned {outcome.result!r}"


def describe(error):
    inner = getattr(error, "exceptions", None)
    return f"{type(error).__name__} of {describe(inner[0])}" if inner else type(error).__name__


async def check_one_tool(task, lab):
    """A tool that the model asks for is run, the model is told its result, and its answer comes back."""
    agent = Agent(task, lab, answer("Hello."))
    text = (await agent.run()).value
    lab.expect(text == "Hello.", None, f"the model answered 'Hello.', and it returned {text!r}")
    agent = Agent(task, lab, calls(("weather", {"city": "Zürich", "days": 3})), answer("It is sunny."))
    outcome = await agent.run()
    text = outcome.value
    lab.expect(text == "It is sunny.", None, f"the model answered 'It is sunny.', and it returned {text!r}")
    ran = agent.ran()
    lab.expect(
        ran == [{"city": "Zürich", "days": 3}], None, f"the model asked for one call, and it ran {ran}"
    )
    turn = agent.seen[1] if len(agent.seen) > 1 else []
    roles = [message.get("role") for message in turn]
    evidence = f"the second turn's conversation has the roles {named(roles)}"
    if lab.expect(roles == ["user", "assistant", "tool"], None, evidence):
        wanted = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
        got = {key: turn[2].get(key) for key in wanted}
        right = got | {"content": "sunny"} == wanted and "sunny" in str(got["content"])
        lab.expect(right and bool(turn[1].get("tool_calls")), None, f"the tool's message is {got}")


async def check_parallel(task, lab):
    """Calls that are asked for together run together, and each gets its result."""
    asked = [("weather", {"city": "Zürich"}), ("search", {"query": "tides"}), ("search", {"query": "snow"})]
    agent = Agent(task, lab, calls(*asked), answer("Done."))
    outcome = await agent.run()
    if len(agent.seen) < 2:
        outcome.value
    results = agent.results()
    evidence = f"the model asked for call_1, call_2, call_3, and was told results for {named(results)}"
    if not agent.ran():
        lab.expect(False, None, f"the model asked for 3 calls, none was run, and {told(outcome)}")
        return
    if lab.expect(set(results) == {"call_1", "call_2", "call_3"}, "missing_result", evidence):
        outcome.value
        wanted = {"call_1": "sunny", "call_2": "found tides", "call_3": "found snow"}
        right = all(text in str(results[call]) for call, text in wanted.items())
        lab.expect(right, None, f"the model was told {results}")
        tools = [call for call in lab.calls() if call.name != "model"]
        top, spent = peak(tools), max(call.end for call in tools) - min(call.start for call in tools)
        evidence = f"3 calls of 1.0, 0.8 and 0.6 s took {spent:.2f} s, at most {top.count} at a time"
        lab.expect(spent < 1.1, "one_by_one" if top.count == 1 else None, evidence)


async def check_tool_fails(task, lab):
    """The error of a tool is a result that the model is told."""
    asked = [("weather", {"city": "Zürich"}), ("search", {"query": "tides"})]
    agent = Agent(
        task, lab, calls(*asked), answer("Sorry."), weather=ConnectionError("the station is closed")
    )
    outcome = await agent.run()
    evidence = f"weather raised ConnectionError, and {told(outcome)} after {len(agent.seen)} turns"
    went_on = outcome.error is None and (outcome.hung or len(agent.seen) > 1)
    if not lab.expect(went_on, "error_kills_loop", evidence):
        return
    outcome.value
    results = agent.results()
    evidence = (
        f"weather failed, search did not: the model was told results for {named(results)} of call_1, call_2"
    )
    if lab.expect(set(results) == {"call_1", "call_2"}, "missing_result", evidence):
        said = str(results["call_1"])
        told_why = "station is closed" in said or "ConnectionError" in said
        lab.expect(told_why, None, f"weather raised 'the station is closed', and the model was told {said!r}")
        right = "found tides" in str(results["call_2"])
        lab.expect(right, None, f"search gave 'found tides', and the model was told {results['call_2']!r}")


async def check_arguments(task, lab):
    """Arguments that do not fit are never run: the model is told, and may try again."""
    good = {"city": "Bern", "days": 2}
    for what, bad in (
        ("days is 'many'", {"city": "Bern", "days": "many"}),
        ("days is the text '3'", {"city": "Bern", "days": "3"}),
        ("city is missing", {"days": 2}),
        ("city is a list", {"city": ["Bern"], "days": 2}),
        ("they are no JSON", '{"city": "Be'),
    ):
        agent = Agent(task, lab, calls(("weather", bad)), calls(("weather", good), first=2), answer("Done."))
        outcome = await agent.run()
        wrong = [arguments for arguments in agent.ran() if arguments != good]
        unfit = f"the arguments do not fit, {what}"
        ran = f"{unfit}: the tool was run with {wrong[0] if wrong else 'nothing'}"
        if not lab.expect(not wrong, "not_validated", ran):
            return
        died = "not_validated" if "JSON" in told(outcome) else "error_kills_loop"
        went_on = outcome.error is None and not outcome.hung and len(agent.seen) > 1
        if not lab.expect(went_on, died, f"{unfit}: {told(outcome)}"):
            return
        results = agent.results()
        evidence = (
            f"the arguments of call_1 do not fit, {what}: the model was told results for {named(results)}"
        )
        if lab.expect("call_1" in results, "missing_result", evidence):
            lab.expect(bool(results["call_1"]), None, f"the model was told {results['call_1']!r}")
            lab.expect(agent.ran() == [good], None, f"then it asked with {good}, and it ran {agent.ran()}")


async def check_unknown_tool(task, lab):
    """A tool that does not exist is a mistake of the model's, which it is told."""
    agent = Agent(task, lab, calls(("fly", {}), ("search", {"query": "tides"})), answer("Done."))
    outcome = await agent.run()
    evidence = f"the model asked for a tool that does not exist: {told(outcome)}"
    went_on = outcome.error is None and not outcome.hung and len(agent.seen) > 1
    if lab.expect(went_on, "error_kills_loop", evidence):
        results = agent.results()
        evidence = (
            f"call_1 asked for a tool that does not exist: the model was told results for {named(results)}"
        )
        lab.expect(set(results) == {"call_1", "call_2"}, "missing_result", evidence)


async def check_steps(task, lab):
    """A model that never stops asking is stopped."""
    again = [calls(("search", {"query": "more"}), first=number) for number in range(1, 31)]
    agent = Agent(task, lab, *again, answer("At last."))
    outcome = await agent.run(max_steps=5)
    turns = len(agent.model.calls)
    evidence = f"a model that asks for a tool each time had {turns} turns, max_steps is 5"
    if lab.expect(turns <= 6, "no_cap", evidence):
        lab.expect(turns == 5, None, evidence)
        right = type(outcome.error).__name__ == "TooManySteps"
        lab.expect(right, None, f"after {turns} turns without an answer {told(outcome)}")
    agent = Agent(task, lab, *again[:2], answer("At last."))
    outcome = await agent.run(max_steps=3)
    evidence = f"the third turn of 3 is an answer: {told(outcome)}"
    lab.expect(outcome.error is None and outcome.result == "At last.", None, evidence)
