"""The plan of a finite server, against a simulation that goes from event to event."""

from hypothesis import given
from hypothesis import strategies as st

from workbench.simulator.slots import Place, Slots


class NaiveServer:
    """`count` places and a queue; time goes on step by step, and nothing is planned."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.queue: list[int] = []
        self.running: dict[int, float] = {}  # by number: the end
        self.durations: dict[int, float] = {}
        self.starts: dict[int, float] = {}

    def go(self, now: float) -> None:
        while self.running and min(self.running.values()) <= now:
            number = min(self.running, key=lambda n: self.running[n])
            self.fill(self.running.pop(number))
        self.fill(now)

    def fill(self, now: float) -> None:
        while self.queue and len(self.running) < self.count:
            number = self.queue.pop(0)
            self.starts[number] = now
            self.running[number] = now + self.durations[number]

    def arrive(self, number: int, duration: float, now: float) -> None:
        self.go(now)
        self.durations[number] = duration
        self.queue.append(number)
        self.fill(now)

    def cancel(self, number: int, now: float) -> None:
        self.go(now)
        if number in self.queue:
            self.queue.remove(number)
        self.running.pop(number, None)
        self.fill(now)


STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 12), st.none() | st.integers(0, 200)), min_size=1, max_size=80
)


@given(st.integers(1, 4), STEPS)
def test_the_plan_is_what_happens(count: int, steps: list[tuple[int, int, int | None]]) -> None:
    """Whoever comes, and whoever leaves, each request starts when it does in a step-by-step server."""
    slots: Slots[Place] = Slots(count)
    naive = NaiveServer(count)
    places: list[Place] = []
    gone: set[int] = set()
    now = 0.0
    for gap, duration, leaver in steps:
        now += gap
        places.append(Place(duration=float(duration)))
        slots.admit(places[-1], now)
        naive.arrive(len(places) - 1, float(duration), now)
        if leaver is not None and (number := leaver % len(places)) not in gone and places[number].end > now:
            gone.add(number)
            before = [place.start for place in places]
            moved_up = slots.leave(places[number], now)
            naive.cancel(number, now)
            assert moved_up == [p for p, start in zip(places, before, strict=True) if p.start < start]
    naive.go(10_000)
    kept = [n for n in range(len(places)) if n not in gone]
    assert {n: places[n].start for n in kept} == {n: naive.starts[n] for n in kept}
    assert all(places[n].end == places[n].start + places[n].duration for n in kept)


def test_no_more_than_the_places_are_served_at_once() -> None:
    """Of 500 requests that come together, three at a time are served, in their order."""
    slots: Slots[Place] = Slots(3)
    places = [Place(duration=2.0) for _ in range(500)]
    for place in places:
        slots.admit(place, 0.0)
    assert [place.start for place in places] == [2.0 * (n // 3) for n in range(500)]


def test_who_comes_as_a_place_becomes_free_does_not_queue() -> None:
    """A clock reads whole nanoseconds: an end a fraction of one later is the same instant."""
    slots: Slots[Place] = Slots(1)
    slots.admit(Place(duration=1.0000000003), 0.0)
    second = Place(duration=1.0)
    slots.admit(second, 1.0)
    assert second.start == 1.0


def test_who_has_ended_is_forgotten() -> None:
    """A long run keeps no list of all requests that there have ever been."""
    slots: Slots[Place] = Slots(2)
    for number in range(10_000):
        slots.admit(Place(duration=1.0), float(number))
    assert len(slots._places) < 200
