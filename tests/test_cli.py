"""The command line, as a shell sees it."""

import json
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from workbench.cli import main
from workbench.simulator.scenario import names

COMMAND = [sys.executable, "-m", "workbench"]
SLOW = """
[[models]]
provider = "openai"
name = "m"
ttft = { mean = 0.001 }
itl = { mean = 30 }
"""
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "stream": True}


@contextmanager
def serve(*options: str, what: str = "serve") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own; gives that and the URL that it prints."""
    command = [*COMMAND, what, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+:\d+", line)
            assert found, line or process.communicate()[1]
            yield process, found[0]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_cleanly_in_mid_stream(tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends the server at once, its streams break off, and nothing is complained of."""
    path = tmp_path / "slow.toml"
    path.write_text(SLOW)
    with (
        serve("--scenario", str(path)) as (process, url),
        httpx2.Client(verify=False) as client,
        client.stream(
            "POST", f"{url}/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer k"}
        ) as response,
    ):
        pieces = response.iter_raw()
        assert b"data: " in next(pieces)
        process.send_signal(number)
        with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
            list(pieces)
        _, complaints = process.communicate(timeout=20)
        assert (process.returncode, complaints) == (0, "")


def test_what_is_served() -> None:
    """The server runs the scenario that is named, with the seed that is given."""
    with serve("--scenario", "keys", "--seed", "42") as (_, url), httpx2.Client(verify=False) as client:
        assert client.get(f"{url}/health").json()["seed"] == 42
        answer = client.get(f"{url}/v1/models", headers={"authorization": "Bearer unknown"})
        assert answer.status_code == 401


def test_a_relay() -> None:
    """The relay serves its page, asks the model that is named, and ends cleanly."""
    with (
        serve("--model", "gpt-5.4-mini", what="relay") as (process, url),
        httpx2.Client(verify=False) as client,
    ):
        assert "<title>Relay</title>" in client.get(url).text
        answer = client.post(f"{url}/ask", json={"prompt": "Why?"})
        assert '"model":"gpt-5.4-mini"' in answer.text
        assert '"type":"finished"' in answer.text
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=20)
        assert (process.returncode, complaints) == (0, "")


def test_a_wrong_scenario(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A scenario with a mistake is refused in a few lines that name it, with status 2."""
    path = tmp_path / "bad.toml"
    path.write_text("[faults]\nerror_rate = 2")
    assert main(["serve", "--scenario", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"workbench: {path} is no scenario:\n"
        "  faults.error_rate: Input should be less than or equal to 1, got 2\n"
    )


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is taken is named in one sentence, with status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"workbench: port {port} is in use: ")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["serve", "--port", "x"], ["fly"]])
def test_a_wrong_command(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """A command line that makes no sense is answered by its usage, with status 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: workbench" in capsys.readouterr().err


def test_help_lists_the_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    """The help names every scenario that comes with the workbench."""
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    text = re.sub(r"-\s+", "-", capsys.readouterr().out)
    assert all(name in text for name in names())


def test_the_command_is_installed() -> None:
    """The package declares the command ``workbench`` as this main function."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"workbench": f"{main.__module__}:{main.__name__}"}
    assert json.dumps(project["dependencies"]).count("uvicorn") == 1
