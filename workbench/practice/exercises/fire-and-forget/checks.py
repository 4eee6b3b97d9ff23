import asyncio
import gc
import weakref


class LogError(Exception):
    pass


class Sink:
    """The service that takes the records.

    Its connection holds those who wait for an answer only weakly, as a connection pool may: what keeps a
    sender alive has to be the one who started it.
    """

    def __init__(self, lab, takes=0.2):
        self.lab, self.takes = lab, takes
        self.begun, self.sent, self.reported = [], [], []
        self.log = None

    async def send(self, record):
        self.begun.append(record)
        answer = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(self.takes, _resolve, weakref.ref(answer))
        await answer
        if str(record).startswith("bad"):
            raise LogError("refused")
        self.sent.append(record)

    def report(self, record, error):
        self.reported.append((record, error))

    async def opened(self, task):
        """Make the log."""
        self.log = (await self.lab.call(task, self.send, self.report)).value
        return self

    async def write(self, *records):
        """Log them; the seconds that it took, or None if the check can end here."""
        start = self.lab.now()
        for record in records:
            (await self._logged(record)).value
        return self.lab.now() - start - 0.001 * len(records)  # lab.call looks around for 1 ms after each

    async def _logged(self, record):
        return await self.lab.call(self.log.log, record, within=60.0)

    async def close(self):
        return await self.lab.call(self.log.close, within=60.0)


def _resolve(reference):
    answer = reference()
    if answer is not None and not answer.done():
        answer.set_result(None)


def records(count):
    return [f"request {number}" for number in range(count)]


async def check_written(task, lab):
    """Each record is sent once."""
    sink = await Sink(lab).opened(task)
    took = await sink.write(*records(5))
    await asyncio.sleep(3)
    evidence = f"of 5 records, {len(sink.sent)} were sent within 3 s, {len(set(sink.sent))} different ones"
    lab.expect(sorted(sink.sent) == records(5), None if took < 0.01 else "request_waits", evidence)
    (await sink.close()).value
    lab.expect(len(sink.begun) == 5, None, f"5 records were sent by {len(sink.begun)} calls of send")
    lab.expect(
        not sink.reported, None, f"{len(sink.reported)} of 5 records were reported, and none had failed"
    )


async def check_at_once(task, lab):
    """Who logs does not wait."""
    sink = await Sink(lab).opened(task)
    took = await sink.write(*records(60))
    stood = lab.longest_block().seconds
    evidence = f"logging 60 records took {took:.2f} s"
    lab.expect(took < 0.01 and stood < 0.01, "request_waits", evidence)


async def check_garbage(task, lab):
    """A record that is on its way survives the garbage collector."""
    sink = await Sink(lab).opened(task)
    await sink.write(*records(4))
    await asyncio.sleep(0.1)
    gc.collect()
    await asyncio.sleep(3)
    gone = [each for each in lab.unseen() if "destroyed" in each]
    evidence = (
        f"of 4 records, {len(sink.begun)} had begun to be sent when garbage was collected, "
        f"and {len(sink.sent)} arrived; {len(gone)} tasks were destroyed while they were pending"
    )
    lab.expect(not gone, "no_reference", evidence)


async def check_failure(task, lab):
    """A record that cannot be sent is reported, and disturbs no other."""
    sink = await Sink(lab).opened(task)
    await sink.write("request 0", "bad 1", "request 2", "bad 3", "request 4")
    await asyncio.sleep(3)
    outcome = await sink.close()
    told = [record for record, _ in sink.reported]
    unseen = [each for each in lab.unseen() if "never retrieved" in each]
    evidence = f"2 of 5 records failed, {len(told)} were reported, {len(sink.sent)} of the others arrived"
    if unseen:
        evidence = f"{evidence}; asyncio said: {unseen[0].removeprefix('_')}"
    if not lab.expect({"bad 1", "bad 3"} <= set(told) and not unseen, "exception_unseen", evidence):
        return
    right = sorted(told) == ["bad 1", "bad 3"] and all(
        isinstance(each, LogError) for _, each in sink.reported
    )
    lab.expect(right, None, f"report was called with {sink.reported!r}")
    lab.expect(len(sink.sent) == 3, None, evidence)
    lab.expect(
        len(sink.begun) == 5,
        None,
        f"5 records, 2 of which fail, were sent by {len(sink.begun)} calls of send",
    )
    lab.expect(outcome.error is None, None, f"close() raised {outcome.error!r}")


async def check_drained(task, lab):
    """close() returns when all records have been written."""
    for count, after in ((6, 0.0), (3, 0.1), (1, 0.05), (20, 0.3)):
        sink = await Sink(lab).opened(task)
        before = asyncio.all_tasks()
        await sink.write(*records(count))
        await asyncio.sleep(after)
        outcome = await sink.close()
        came = "did not come back within 60 s" if outcome.hung else f"came back after {outcome.seconds:.2f} s"
        evidence = f"close() {came}, and {len(sink.sent)} of {count} records were sent"
        if not lab.expect(len(sink.sent) >= count, "not_drained", evidence):
            return
        outcome.value
        await asyncio.sleep(0.01)
        left = [each for each in asyncio.all_tasks() - before if not each.done()]
        lab.expect(not left, None, f"{len(left)} tasks are left after close()")


async def check_nothing(task, lab):
    """close() returns at once if nothing was logged, and leaves nothing running."""
    before = asyncio.all_tasks()
    sink = await Sink(lab).opened(task)
    outcome = await sink.close()
    outcome.value
    await asyncio.sleep(0.01)
    left = [each for each in asyncio.all_tasks() - before if not each.done()]
    evidence = (
        f"with no records, close() took {outcome.seconds:.2f} s, and {len(left)} tasks are left after it"
    )
    lab.expect(outcome.seconds < 0.5 and not left, None, evidence)
