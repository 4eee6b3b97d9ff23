import asyncio
import math
from collections import Counter

from workbench.practice.probes import peak

ROOT = "https://a.test/"
TAKES = {ROOT: 2.0, "https://b.test/slow": 5.0}
NEXT = "https://d.test/1"
HOSTS = [f"https://{name}.test" for name in "bcdefgh"]


def wide():
    """A slow first page that links to pages on seven hosts, which link to each other."""
    pages = {ROOT: [f"{host}/{number}" for number in range(3) for host in HOSTS]}
    for place, url in enumerate(list(pages[ROOT])):
        pages[url] = [f"{HOSTS[place % 7]}/deep/{place // 2}", ROOT, pages[ROOT][(place + 1) % 21]]
    for links in list(pages.values()):
        for url in links:
            pages.setdefault(url, [])
    return pages


def diamond():
    """Three pages that are ready at the same instant, and link to the same two."""
    middle = [f"{host}/1" for host in HOSTS[:3]]
    shared = ["https://z.test/1", "https://z.test/2"]
    return {ROOT: middle} | dict.fromkeys(middle, shared) | {url: [] for url in shared}


def uneven():
    """A slow page, and one that is soon there and leads on."""
    slow, quick = "https://b.test/slow", "https://c.test/1"
    return {ROOT: [slow, quick], slow: [], quick: [NEXT], NEXT: []}


def one_host():
    return {ROOT: [f"https://b.test/{number}" for number in range(12)]} | {
        f"https://b.test/{number}": [] for number in range(12)
    }


def site(lab, pages, broken=()):
    def answer(url):
        return ConnectionError(f"cannot fetch {url}") if url in broken else list(pages[url])

    return lab.service(answer, takes=lambda url: TAKES.get(url, 0.3), name="fetch")


def in_flight_by_host(calls):
    hosts = {call.args[0].split("/")[2] for call in calls}
    tops = {
        host: peak([call for call in calls if call.args[0].split("/")[2] == host]) for host in sorted(hosts)
    }
    return max(tops.items(), key=lambda item: item[1].count)


async def check_pages(task, lab):
    """Every page that can be reached is in the result, with its links."""
    pages = {ROOT: ["https://b.test/1", "https://c.test/2"], "https://b.test/1": [], "https://c.test/2": []}
    fetch = site(lab, pages)
    outcome = await lab.call(task, fetch, ROOT, 4, 2)
    got, cut = outcome.value, [call for call in fetch.calls if call.outcome != "ok"]
    also = f"; it ended at t = {outcome.end:.2f} s with a fetch under way" if cut else ""
    right = {url: list(links) for url, links in got.items()} == pages
    lab.expect(right, "stops_early" if cut else None, f"of 3 pages it returned {len(got)}{also}")
    lab.expect(
        not outcome.left, None, f"{len(outcome.left)} tasks are left {' '.join(outcome.left[:1])}".strip()
    )


async def check_once(task, lab):
    """Every page is fetched once."""
    for pages, per_host in ((diamond(), 4), (diamond(), 1), (wide(), 4)):
        fetch = site(lab, pages)
        outcome = await lab.call(task, fetch, ROOT, 8, per_host)
        times = Counter(call.args[0] for call in fetch.calls)
        twice = [url for url, number in times.items() if number > 1]
        evidence = f"{len(fetch.calls)} fetches of {len(times)} pages" + (
            f", {times[twice[0]]} of {twice[0]}" if twice else ""
        )
        if not lab.expect(not twice, "visited_race", evidence):
            return
        missing = len(pages) - len(outcome.value)
        lab.expect(missing == 0, "stops_early", f"{missing} of {len(pages)} pages were not reached")


async def check_busy(task, lab):
    """All workers are at work while there are pages to fetch."""
    tasks = lab.spy(asyncio.get_running_loop(), "create_task")
    fetch = site(lab, wide())
    outcome = await lab.call(task, fetch, ROOT, 6, 4)
    top = peak(fetch.calls)
    evidence = f"{top}, of 6 that were allowed; it took {outcome.seconds:.1f} s"
    if not lab.expect(top.count <= 6, None, evidence):
        return
    has_workers = len(tasks) > 1  # one is the call itself
    if not lab.expect(top.count == 6, "stops_early" if has_workers else None, evidence):
        return
    fetch = site(lab, uneven())
    outcome = await lab.call(task, fetch, ROOT, 4, 2)
    begun = {call.args[0]: call.start - outcome.start for call in fetch.calls}
    late = begun.get(NEXT, math.inf)
    evidence = f"a page that was known after 2.30 s, with free workers, was fetched after {late:.2f} s"
    lab.expect(late < 2.31, None, evidence)


async def check_hosts(task, lab):
    """At most so many fetches to one host are in flight."""
    for pages, workers, per_host in ((one_host(), 6, 2), (wide(), 8, 1)):
        fetch = site(lab, pages)
        await lab.call(task, fetch, ROOT, workers, per_host)
        host, top = in_flight_by_host(fetch.calls)
        evidence = f"{host}: {top}, the limit is {per_host}"
        if not lab.expect(top.count <= per_host, "no_host_limit", evidence):
            return
        if pages.keys() == one_host().keys():
            lab.expect(top.count == per_host, None, evidence)


async def check_broken(task, lab):
    """A page that cannot be fetched disturbs no other."""
    pages = wide()
    broken = [f"{host}/1" for host in HOSTS]
    fetch = site(lab, pages, broken)
    outcome = await lab.call(task, fetch, ROOT, 4, 4, within=120)
    reached = {url for url in pages if not any(url in pages[each] for each in broken)} | set(broken)
    fetched = {call.args[0] for call in fetch.calls}
    evidence = f"7 of {len(pages)} pages are broken; {len(fetched)} pages were fetched"
    if outcome.hung:
        lab.expect(False, "bad_page_kills", f"{evidence}, and it never ended")
    elif outcome.error is not None:
        lab.expect(False, "bad_page_kills", f"{evidence}, and {type(outcome.error).__name__} came out")
    elif all(call.outcome != "cancelled" for call in fetch.calls):
        kept = sum(isinstance(outcome.value.get(url), ConnectionError) for url in broken)
        lost = len(reached - fetched)
        right = kept == 7 and not lost
        lab.expect(right, "bad_page_kills", f"{evidence}, {kept} errors are in the result")
