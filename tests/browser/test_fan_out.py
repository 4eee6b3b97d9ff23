"""The first notebook, as a reader sees it in JupyterLab."""

from tests.browser.lab import Lab


def test_run_all_shows_every_figure(lab: Lab) -> None:
    """Run All runs to the end, and the charts and the live progress are there to be seen."""
    with lab.open_notebook("01_fan_out.ipynb") as notebook:
        assert notebook.run_all(timeout=180)
        text = "\n".join(notebook.outputs())
        assert "12/12 done" in text
        assert "nest_asyncio2  6 of 6 queued cells answered" in text
        pictures = notebook.page.locator(".jp-RenderedImage img")
        assert pictures.count() >= 6
        loaded = "images => images.every(image => image.complete && image.naturalWidth > 400)"
        assert pictures.evaluate_all(loaded)
