"""The notebooks on streaming and on tool calls, as a reader sees them in JupyterLab."""

import workbench as wb
from tests.browser.lab import Lab, NotebookPage

# As in the notebook.
WORDS = ["jitter", "pauses", "tokens", "caches", "queues", "leases", "quotas", "hedging"]


def pictures_are_there(notebook: NotebookPage, count: int) -> bool:
    pictures = notebook.page.locator(".jp-RenderedImage img")
    assert pictures.count() == count
    loaded = "images => images.every(image => image.complete && image.naturalWidth > 400)"
    return bool(pictures.evaluate_all(loaded))


def said_by_the_provider() -> list[str]:
    """The eight answers, each asked for as a whole: the same seed and question give the same words."""
    provider = wb.OpenAIProvider(wb.Simulator(seed=8).openai())

    async def ask(word: str) -> str:
        question = wb.Message(role="user", content=f"What is the use of {word}?")
        request = wb.Request(model="gpt-5.5", messages=(question,), max_tokens=200)
        return (await provider.complete(request)).text

    return wb.run(lambda: wb.fan_out(ask, WORDS, limit=8)).values()


def test_streaming(lab: Lab) -> None:
    """Run All runs to the end, relay and boards included; each pane, live or not, keeps its answer."""
    with lab.open_notebook("03_streaming.ipynb") as notebook:
        assert notebook.run_all(timeout=180)
        text = "\n".join(notebook.outputs())
        assert "the provider's stream at the first: in flight, at the last: ok" in text
        assert pictures_are_there(notebook, 2)
        panes = notebook.page.locator("details pre").all_text_contents()
        assert panes == 2 * said_by_the_provider()
        assert not notebook.page.locator(".wb-board").count()


def test_tool_calls(lab: Lab) -> None:
    """Run All runs to the end, and what it shows is what is stored."""
    with lab.open_notebook("04_tool_calls.ipynb") as notebook:
        stored = notebook.outputs()
        assert notebook.run_all(timeout=180)
        assert pictures_are_there(notebook, 1)
        assert notebook.outputs() == stored
