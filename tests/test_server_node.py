"""The simulated provider as JavaScript sees it; it needs Node.js, and the clients in tools/node."""

import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from workbench.simulator import Simulator

CLIENT = Path(__file__).parent.parent / "tools" / "node"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
@pytest.mark.skipif(
    not (CLIENT / "node_modules" / "openai").exists(), reason="run `npm install` in tools/node first"
)
def test_the_official_javascript_clients(serving: Callable[[Simulator], AbstractContextManager[str]]) -> None:
    """Both official JavaScript clients get whole answers, streams and errors from the same server."""
    sim = Simulator(script="Ja, weil Zürich.")
    with serving(sim) as url:
        command = ["node", str(CLIENT / "client.mjs"), url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    error = {"name": "NotFoundError", "status": 404}
    answers = {"whole": "Ja, weil Zürich.", "streamed": "Ja, weil Zürich.", "error": error}
    assert json.loads(done.stdout) == {"openai": answers, "anthropic": answers}
    assert sim.log.statuses() == {200: 4, 404: 2}
