from collections import Counter

from workbench.practice.probes import peak

ROOT = "https://a.test/"
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


def one_host():
    return {ROOT: [f"https://b.test/{number}" for number in range(12)]} | {
        f"https://b.test/{number}": [] for number in range(12)
    }


def site(lab, pages, broken=()):
    def answer(url):
        return ConnectionError(f"cannot fetch {url}") if url in broken else list(pages[url])

    return lab.service(answer, takes=lambda url: 2.0 if url == ROOT else 0.3, name="fetch")


def in_flight_by_host(calls):
    hosts = {call.args[0].split("/")[2] for call in calls}
    tops = {
        host: peak([call for call in calls if call.args[0].split("/")[2] == host]) for host in sorted(hosts)
    }
    return max(tops.items(), key=lambda item: item[1].count)


async def check_pages(task, lab):
    """Every page that can be reached is in the result, with its links."""
    pages = {ROOT: ["https://b.test/1", "https://c.test/2"], "https://b.test/1": [], "https://c.test/2": []}
    outcome = await lab.call(task, site(lab, pages), ROOT, 4, 2)
    got = outcome.value
    lab.expect(dict(got) == pages, None, f"of 3 pages it returned {len(got)}")
    lab.expect(
        not outcome.left, None, f"{len(outcome.left)} tasks are left {' '.join(outcome.left[:1])}".strip()
    )


async def check_once(task, lab):
    """Every page is fetched once."""
    fetch = site(lab, wide())
    outcome = await lab.call(task, fetch, ROOT, 8, 4)
    times = Counter(call.args[0] for call in fetch.calls)
    twice = [url for url, number in times.items() if number > 1]
    evidence = f"{len(fetch.calls)} fetches of {len(times)} pages" + (
        f", {times[twice[0]]} of {twice[0]}" if twice else ""
    )
    if lab.expect(not twice, "visited_race", evidence):
        missing = len(wide()) - len(outcome.value)
        lab.expect(missing == 0, "stops_early", f"{missing} of {len(wide())} pages were not reached")


async def check_busy(task, lab):
    """All workers are at work while there are pages to fetch."""
    fetch = site(lab, wide())
    outcome = await lab.call(task, fetch, ROOT, 6, 4)
    top = peak(fetch.calls)
    evidence = f"{top}, of 6 that were allowed; it took {outcome.seconds:.1f} s"
    if lab.expect(top.count <= 6, None, evidence):
        lab.expect(top.count == 6, "stops_early", evidence)


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
    else:
        kept = sum(isinstance(outcome.value.get(url), ConnectionError) for url in broken)
        lost = len(reached - fetched)
        right = kept == 7 and not lost
        lab.expect(right, "bad_page_kills", f"{evidence}, {kept} errors are in the result")
