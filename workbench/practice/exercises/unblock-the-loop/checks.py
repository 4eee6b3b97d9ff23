import asyncio
import threading

from workbench.practice.probes import peak

IDS = list(range(20))
PAUSE = 0.5  # seconds between two attempts
LATE = {3, 11}  # these documents are ready at the second time of asking


class Handler:
    """The two functions that are handed in, and a heartbeat that shows when the loop stands still."""

    def __init__(self, lab):
        self.lab, self.asked, self.here = lab, set(), threading.current_thread().name
        self.fetch = lab.service(self.text, takes=lambda n: 0.2 + 0.01 * (n % 4), name="fetch", blocking=True)
        self.score = lab.service(len, takes=0.3, name="score", blocking=True)

    def text(self, number):
        if number in LATE and number not in self.asked:
            self.asked.add(number)
            return None
        return "x" * (number * 7 % 20)

    async def run(self, task, ids, limit):
        gaps = []

        async def heart():
            while True:
                before = self.lab.now()
                await asyncio.sleep(0.05)
                gaps.append(self.lab.now() - before - 0.05)

        beating = asyncio.create_task(heart())
        outcome = await self.lab.call(task, self.fetch, self.score, ids, limit, within=120)
        await asyncio.sleep(0.06)
        beating.cancel()
        self.longest = max(gaps)
        return outcome

    def in_loop(self, service):
        """How many calls ran on the event loop's own thread."""
        return sum(call.thread == self.here for call in service.calls)


def wanted(ids):
    return [number * 7 % 20 for number in ids]


async def check_scores(task, lab):
    """Each document's score comes back, in the order of the ids."""
    for ids, limit in ((IDS[:8], 4), ([5], 4), ([], 2)):
        value = (await Handler(lab).run(task, ids, limit)).value
        right = value is not None and list(value) == wanted(ids)
        lab.expect(right, None, f"for {len(ids)} documents it returned {value!r}")


def waited_for(calls, blocked):
    """The mistake of who held the loop without time.sleep or a call on its thread, by when it went on."""
    if abs(blocked.seconds - PAUSE) < 1e-6:
        return "time_sleep"
    ended = {call.name for call in calls if call.end is not None and abs(call.end - blocked.end) < 1e-6}
    return "sync_call" if "fetch" in ended else "cpu_inline" if "score" in ended else None


async def check_responsive(task, lab):
    """The event loop never stands still."""
    handler = Handler(lab)
    await handler.run(task, IDS[:8], 4)
    stood = f"the loop stood still for {handler.longest:.2f} s at a time"
    fetched, scored = handler.in_loop(handler.fetch), handler.in_loop(handler.score)
    evidence = f"{fetched} of {len(handler.fetch.calls)} calls of fetch ran on the loop's thread"
    right = lab.expect(not fetched, "sync_call", f"{evidence}, and {stood}" if fetched else evidence)
    evidence = f"{scored} of {len(handler.score.calls)} calls of score ran on the loop's thread"
    right &= lab.expect(not scored, "cpu_inline", f"{evidence}, and {stood}" if scored else evidence)
    slept = [each for each in lab.blocked if each.by == "time.sleep"]
    if slept:
        right = lab.expect(False, "time_sleep", str(slept[0]))
    if right:
        blocked = lab.longest_block()
        evidence = str(blocked) if blocked.seconds else stood
        lab.expect(handler.longest < 0.01, waited_for(lab.calls(), blocked), evidence)


async def check_bound(task, lab):
    """At most so many calls are running at once."""
    handler = Handler(lab)
    await handler.run(task, IDS, 3)
    top = peak(lab.calls())
    evidence = f"{str(top).replace('in flight', 'calls running')}, the limit is 3"
    lab.expect(top.count <= 3, "unbounded_threads" if top.count > 6 else None, evidence)


async def check_time(task, lab):
    """So many calls do run, if there is work for them."""
    handler = Handler(lab)
    outcome = await handler.run(task, IDS, 4)
    outcome.value
    busy = sum(call.end - call.start for call in lab.calls()) / 4
    evidence = f"{outcome.seconds:.2f} s; the calls by themselves take {busy:.2f} s, 4 at a time"
    lab.expect(outcome.seconds < 1.3 * busy + 1.0, None, evidence)


async def check_end(task, lab):
    """When it returns, nothing of it is left."""
    outcome = await Handler(lab).run(task, IDS[:8], 2)
    outcome.value
    running = sum(call.end is None for call in lab.calls())
    evidence = f"{len(outcome.left)} tasks and {running} calls are left {' '.join(outcome.left[:1])}"
    lab.expect(not outcome.left and not running, None, evidence.strip())
