"""The command line: ``workbench serve`` puts the simulated provider on a port of this machine."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from workbench.errors import ConfigurationError

__all__ = ["main"]

_PORT = 4141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: as they were typed; by default those of this process.

    Returns:
        the exit status: 0, or 2 if a setting is wrong.
    """
    given = _parser().parse_args(arguments)
    try:
        with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
            runner.run(_serve(given))
    except KeyboardInterrupt:  # where the loop cannot handle signals
        pass
    except ConfigurationError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    from workbench.simulator.scenario import names

    parser = argparse.ArgumentParser("workbench", description="A workbench for LLM engineering.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve the simulated provider over HTTP",
        description="Serve a simulated OpenAI and Anthropic API on 127.0.0.1, until it is interrupted.",
        epilog=f"Scenarios that come with the workbench: {', '.join(names())}.",
    )
    serve.add_argument("--port", type=int, default=_PORT, help=f"0: any free one; default: {_PORT}")
    serve.add_argument("--seed", type=int, help="of everything that is random; default: the scenario's own")
    serve.add_argument("--scenario", default="calm", help="a name, or a TOML file; default: calm")
    return parser


async def _serve(given: argparse.Namespace) -> None:
    from workbench.simulator import Simulator

    stop = asyncio.Event()
    with suppress(NotImplementedError):  # on Windows a KeyboardInterrupt does the same
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _allow_many_connections()
    simulator = Simulator.from_scenario(given.scenario, seed=given.seed)
    async with simulator.serving(given.port) as url:
        print(
            f"The simulated provider is at {url} (scenario {given.scenario}). Ctrl+C ends it.\n"
            f"  OPENAI_BASE_URL={url}/v1\n"
            f"  ANTHROPIC_BASE_URL={url}\n"
            f"  {url}/log, {url}/metrics and {url}/health tell what happens.",
            flush=True,
        )
        await stop.wait()


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A stream on uvloop costs a third less; there is none for Windows."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _allow_many_connections() -> None:
    """Many systems let a process open 1,024 files, and a connection is one, unless it asks for more."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
