"""The notebook on streaming, as a reader sees it in JupyterLab."""

from tests.browser.lab import Lab


def test_run_all_shows_every_figure(lab: Lab) -> None:
    """Run All runs to the end in a kernel, the relay included, and the charts are there to be seen."""
    with lab.open_notebook("03_streaming.ipynb") as notebook:
        assert notebook.run_all(timeout=180)
        text = "\n".join(notebook.outputs())
        assert "the provider's stream at the first: in flight, at the last: ok" in text
        pictures = notebook.page.locator(".jp-RenderedImage img")
        assert pictures.count() == 2
        loaded = "images => images.every(image => image.complete && image.naturalWidth > 400)"
        assert pictures.evaluate_all(loaded)
