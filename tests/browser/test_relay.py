"""The relay's page in a real browser: both transports, and what the browser itself measures."""

import asyncio
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import BrowserContext, Page

import workbench as wb
from workbench.relay import serve_relay

PROMPT = "Why jitter? 日本語 😀"
MODEL = wb.ModelProfile(
    name="typist",
    provider="openai",
    ttft=wb.Latency(mean=0.3),
    itl=wb.Latency(mean=0.01),
    answer_tokens=wb.Latency(mean=80),
)
LATE = 3.0  # seconds by which a browser on a busy machine may be behind the provider

both = pytest.mark.parametrize("transport", ["sse", "websocket"])


@contextmanager
def relayed(sim: wb.Simulator) -> Iterator[str]:
    """Serve the simulator's stream from a thread: Playwright has a loop of its own in this one."""
    started: queue.Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def main() -> None:
        stop = asyncio.Event()
        async with serve_relay(wb.OpenAIProvider(sim.openai()), model="typist") as url:
            started.put((url, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=wb.run, args=(main,), kwargs={"virtual": False})
    thread.start()
    try:
        url, loop, stop = started.get(timeout=10)
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def asked(browser: BrowserContext, url: str, transport: str) -> Iterator[Page]:
    """The page, on which the question has just been asked."""
    page = browser.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        page.goto(url)
        page.get_by_label("Question").fill(PROMPT)
        page.locator(f"input[value={transport}]").check()
        page.get_by_role("button", name="Ask").click()
        yield page
        assert complaints == []
    finally:
        page.close()


def wait_for_state(page: Page, state: str) -> None:
    page.locator(f"body[data-state={state}]").wait_for()


def seconds(page: Page, name: str) -> float:
    return float(page.locator(f"#{name}").get_attribute("data-milliseconds") or "nan") / 1000


def whole_answer() -> str:
    """What the provider says to the prompt: the same seed says the same, streamed or not."""
    question = wb.Message(role="user", content=PROMPT)
    request = wb.Request(model="typist", messages=(question,), max_tokens=1024)
    provider = wb.OpenAIProvider(wb.Simulator(seed=4, models=[MODEL]).openai())
    return wb.run(lambda: provider.complete(request)).text


@both
def test_the_page_shows_the_answer_and_when_it_came(browser: BrowserContext, transport: str) -> None:
    """The browser has the whole answer, its first token soon after it was made, and its last one, too."""
    sim = wb.Simulator(seed=4, models=[MODEL], faults=wb.Faults(split_characters=True))
    with relayed(sim) as url, asked(browser, url, transport) as page:
        wait_for_state(page, "done")
        assert page.locator("#answer").text_content() == whole_answer()
        assert page.locator("#status").text_content() == "Finished: stop."
        (record,) = sim.log
        true = wb.StreamMetrics.of(record)
        assert page.locator("#pieces").text_content() == str(record.output_tokens)
        assert 0 < seconds(page, "ttft") - true.ttft < LATE
        assert 0 < seconds(page, "total") - true.latency < LATE
        assert seconds(page, "ttft") < seconds(page, "total") - 0.5 * (true.latency - true.ttft)


@both
def test_the_text_is_there_while_it_comes(browser: BrowserContext, transport: str) -> None:
    """Before the stream has ended, the page shows the beginning of the answer; Stop cancels the request."""
    slow = MODEL.model_copy(update={"itl": wb.Latency(mean=0.2)})
    sim = wb.Simulator(seed=4, models=[slow])
    with relayed(sim) as url, asked(browser, url, transport) as page:
        wait_for_state(page, "streaming")
        page.locator("#answer", has_text=re.compile(".{11}")).wait_for()
        page.get_by_role("button", name="Stop").click()
        wait_for_state(page, "stopped")
        said = page.locator("#answer").text_content() or ""
        assert 10 < len(said) < len(whole_answer())
        assert whole_answer().startswith(said)
        page.wait_for_timeout(100)  # the news crosses two sockets
        (record,) = sim.log
        assert record.outcome == "cancelled"
        assert page.get_by_role("button", name="Ask").is_enabled()


@both
def test_an_error_leaves_the_text_on_the_page(browser: BrowserContext, transport: str) -> None:
    """A stream that breaks off in the middle says so, below what it had said."""
    sim = wb.Simulator(seed=4, models=[MODEL], faults=wb.Faults(disconnect_rate=1))
    with relayed(sim) as url, asked(browser, url, transport) as page:
        wait_for_state(page, "error")
        status = page.locator("#status").text_content()
        assert status == "A stream broke off, or ended without its end mark. (StreamInterruptedError)"
        said = page.locator("#answer").text_content() or ""
        assert said
        assert whole_answer().startswith(said)


@both
def test_the_end_of_the_relay_is_no_end_of_the_answer(browser: BrowserContext, transport: str) -> None:
    """Where the relay is gone before the answer is whole, the page says that it broke off."""
    slow = MODEL.model_copy(update={"itl": wb.Latency(mean=0.2)})
    with relayed(wb.Simulator(seed=4, models=[slow])) as url:
        asking = asked(browser, url, transport)
        page = asking.__enter__()
        wait_for_state(page, "streaming")
    wait_for_state(page, "error")
    assert page.locator("#status").text_content() == "The stream broke off on its way."
    asking.__exit__(None, None, None)
