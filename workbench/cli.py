"""The command line: ``workbench serve`` puts the simulated provider on a port of this machine.

``workbench relay`` serves a page on which a browser sees a stream; see :mod:`workbench.relay`.  ``workbench
truth`` holds policies and simulations against published results; see :mod:`workbench.experiments.truth`.
``workbench practice`` and ``workbench check`` are practice for interviews; see :mod:`workbench.practice`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from workbench.errors import ConfigurationError

__all__ = ["main"]

_PORT = 4141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: as they were typed; by default those of this process.

    Returns:
        the exit status: 0, 1 if a figure or a program is not as it should be, or 2 if a setting is wrong.
    """
    given = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = given.run
    try:
        return run(given)
    except KeyboardInterrupt:  # where the loop cannot handle signals
        pass
    except (ConfigurationError, FileNotFoundError) as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 2
    return 0


def _run_server(given: argparse.Namespace) -> int:
    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        runner.run(_serve(given))
    return 0


def _truth(given: argparse.Namespace) -> int:
    from workbench.experiments.truth import check

    return 0 if check(fast=given.fast) else 1


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
    serve.set_defaults(run=_run_server, served=_provider)
    relay = commands.add_parser(
        "relay",
        help="pass a provider's stream on to a browser",
        description="Serve a page on 127.0.0.1 that shows a stream while it comes, until it is interrupted. "
        "It comes from the simulated provider, unless WORKBENCH_PROVIDER names another.",
    )
    relay.add_argument("--port", type=int, default=_PORT + 1, help=f"0: any free one; default: {_PORT + 1}")
    relay.add_argument("--model", default="gpt-5.5", help="the model that is asked; default: gpt-5.5")
    relay.set_defaults(run=_run_server, served=_relay)
    truth = commands.add_parser(
        "truth",
        help="hold the policies and the simulations against published results",
        description="Reproduce published results, and print each figure beside the published one. "
        "The exit status is 1 if one of them is off.",
    )
    truth.add_argument("--fast", action="store_true", help="fewer trials, within wider tolerances")
    truth.set_defaults(run=_truth)
    _add_practice(commands)
    return parser


def _add_practice(commands: Any) -> None:
    practice = commands.add_parser("practice", help="practise for interviews")
    actions = practice.add_subparsers(required=True, metavar="ACTION", dest="action")
    actions.add_parser("list", help="all tasks, the best scores, and what is due")
    start = actions.add_parser("start", help="start a mock interview")
    start.add_argument("--minutes", type=int, default=45, help="30, 45 or 60; default: 45")
    start.add_argument("--topic", action="append", help="that it is about; more than once: any of them")
    start.add_argument("--difficulty", type=int, choices=(1, 2, 3))
    start.add_argument("--due", action="store_true", help="draw only what is due again")
    opens = actions.add_parser("open", help="make a task's file and notebook in ./practice")
    opens.add_argument("slug", help="of the task, as the list has it")
    actions.add_parser("report", help="what was done so far")
    export = actions.add_parser("export", help="print all attempts, with their code")
    export.add_argument("--format", choices=("json", "csv"), default="json")
    delete = actions.add_parser("delete", help="delete all attempts")
    delete.add_argument("--yes", action="store_true", help="really do it")
    practice.set_defaults(run=_practice)
    check = commands.add_parser("check", help="judge a program for a practice task")
    check.add_argument("slug", help="of the task")
    check.add_argument("file", help="the program")
    check.add_argument("--watch", action="store_true", help="again each time that it is saved")
    check.set_defaults(run=_check)


def _practice(given: argparse.Namespace) -> int:
    from workbench.practice.commands import practice

    return practice(given)


def _check(given: argparse.Namespace) -> int:
    from workbench.practice.commands import check

    return check(given)


async def _serve(given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    with suppress(NotImplementedError):  # on Windows a KeyboardInterrupt does the same
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with given.served(given) as message:
        print(message, flush=True)
        await stop.wait()


@asynccontextmanager
async def _provider(given: argparse.Namespace) -> AsyncIterator[str]:
    from workbench.simulator import Simulator

    _allow_many_connections()
    _spare_the_collector()
    simulator = Simulator.from_scenario(given.scenario, seed=given.seed)
    async with simulator.serving(given.port) as url:
        yield (
            f"The simulated provider is at {url} (scenario {given.scenario}). Ctrl+C ends it.\n"
            f"  OPENAI_BASE_URL={url}/v1\n"
            f"  ANTHROPIC_BASE_URL={url}\n"
            f"  {url}/log, {url}/metrics and {url}/health tell what happens."
        )


@asynccontextmanager
async def _relay(given: argparse.Namespace) -> AsyncIterator[str]:
    from workbench.relay import serve_relay

    async with serve_relay(model=given.model, port=given.port) as url:
        yield f"The relay is at {url}: open it in a browser. Ctrl+C ends it."


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A stream on uvloop costs a third less; there is none for Windows."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _spare_the_collector() -> None:
    """The log only grows, and hardly anything here is garbage in a circle: looking for it costs a tenth."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _allow_many_connections() -> None:
    """Many systems let a process open 1,024 files, and a connection is one, unless it asks for more."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
