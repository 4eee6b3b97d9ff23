"""The IPython extension: cells in virtual time, and a stop button that works.

``%load_ext workbench`` gives a notebook, or IPython in a terminal:

* ``%%virtual``, which runs a whole cell, with top-level ``await``, in virtual time;
* ``%%typecheck``, which has mypy and basedpyright read a cell, and shows what they say of its lines;
* ``%%save NAME.py``, which makes a cell a file, and ``%%pytest test_NAME.py``, which runs one as tests;
* an Interrupt that reaches a cell at once while it awaits on the wall clock (ipykernel #881);
* outputs and errors in which no API key stands, whoever prints it.

Rule of this file: whatever a plain cell does, a ``%%virtual`` cell does too.  It runs in the user's
namespace and thread, displays its last expression, ends when it is interrupted, and its errors show
the user's own lines.  What it prints is the same in every run, warnings and tracebacks included.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import json
import linecache
import re
import signal
import socket
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, TypeAlias, cast

from IPython.core.error import UsageError
from jupyter_client.jsonutil import json_default

from workbench import clock, scratch
from workbench.redaction import RedactedText, Redactor

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

Shell: TypeAlias = Any  # IPython's InteractiveShell, most of which has no types

_loaded: weakref.WeakKeyDictionary[Shell, contextlib.ExitStack] = weakref.WeakKeyDictionary()


def load_ipython_extension(shell: Shell) -> None:
    """Do what ``%load_ext workbench`` asks for; a second time changes nothing."""
    if shell not in _loaded:
        _loaded[shell] = undo = contextlib.ExitStack()
        undo.enter_context(_virtual_magic(shell))
        undo.enter_context(_tool_magics(shell))
        undo.enter_context(_no_keys_in_streams(shell))
        undo.enter_context(_no_keys_in_displays(shell))
        undo.enter_context(_no_keys_in_errors(shell))
        undo.enter_context(_short_tracebacks(shell))
        undo.enter_context(_signals_wake_the_loop())


def unload_ipython_extension(shell: Shell) -> None:
    """Undo :func:`load_ipython_extension`."""
    _loaded.pop(shell, contextlib.ExitStack()).close()


@contextlib.contextmanager
def _virtual_magic(shell: Shell) -> Iterator[None]:
    def virtual(line: str, body: str) -> None:
        """Run the cell, with top-level `await`, in virtual time: %%virtual [--seed N]

        The seed (default: 0) is that of the global `random`, from which the SDKs draw their jitter.
        """
        if not (options := re.fullmatch(r"(?:--seed[ =] *(\d+))?", line.strip())):
            raise UsageError(f"%%virtual takes only --seed N, got {line!r}")
        first_line = f"# %%virtual {line}".rstrip()  # so that the others keep their numbers
        cell = _Cell(shell, f"{first_line}\n{body}")
        try:
            clock.run(cell.run, seed=int(options[1] or 0))
        except (KeyboardInterrupt, clock.DeadlockError) as error:
            if error is cell.error:
                raise
            # The loop raised it, and then cancelled the cell: show where the cell waited.
            where = cell.error.__traceback__ if cell.error else None
            raise error.with_traceback(where) from None

    shell.register_magic_function(virtual, "cell", "virtual")
    yield
    del shell.magics_manager.magics["cell"]["virtual"]


@contextlib.contextmanager
def _tool_magics(shell: Shell) -> Iterator[None]:
    def typecheck(line: str, body: str) -> None:
        """Have mypy and basedpyright read the cell as a module of its own; it is not run: %%typecheck"""
        source = f"# %%typecheck {line}\n{body}"  # so that the lines keep their numbers
        print(scratch.show(source, scratch.typecheck(source)))

    def save(line: str, body: str) -> None:
        """Make the cell a file, for the cells that test it: %%save NAME.py"""
        scratch.save(line.strip(), body)

    def pytest(line: str, body: str) -> None:
        """Make the cell a file of tests, and run pytest on it: %%pytest test_NAME.py [option ...]"""
        name, *options = line.split() or [""]
        scratch.save(name, body)
        print(scratch.run_pytest(name, *options).output, end="")

    magics = {"typecheck": typecheck, "save": save, "pytest": pytest}
    for name, function in magics.items():
        shell.register_magic_function(function, "cell", name)
    yield
    for name in magics:
        del shell.magics_manager.magics["cell"][name]


class _Cell:
    """A cell's code, and the error that ended it."""

    def __init__(self, shell: Shell, source: str) -> None:
        self.error: BaseException | None = None
        self._shell = shell
        try:
            self._steps = list(self._compile(shell.transform_cell(source)))
        except Exception as error:
            raise error.with_traceback(None) from None  # none of the user's lines has run

    def _compile(self, source: str) -> Iterator[CodeType]:
        """Compile as IPython does: a statement whose value is displayed is "single"."""
        compiler, mode = self._shell.compile, self._shell.ast_node_interactivity
        name = self._remember(source)
        nodes = self._shell.transform_ast(compiler.ast_parse(source, filename=name)).body
        silent = len(nodes)
        if mode == "none" or self._shell.displayhook.semicolon_at_end_of_expression(source):
            pass
        elif mode == "all":
            silent = 0
        elif nodes and (mode == "last" or isinstance(nodes[-1], ast.Expr)):
            silent -= 1
        with compiler.extra_flags(ast.PyCF_ALLOW_TOP_LEVEL_AWAIT):
            yield compiler(ast.Module(nodes[:silent], []), name, "exec")
            for node in nodes[silent:]:
                yield compiler(ast.Interactive([node]), name, "single")

    def _remember(self, source: str) -> str:
        """Keep the source for tracebacks and `inspect`; return the code's file name.

        Warnings show that name.  ipykernel's own has the process's number in it, and the cell's own
        number is always 1 under nbval.
        """
        name = f"<cell {hashlib.sha256(source.encode()).hexdigest()[:8]}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        result = self._shell.displayhook.exec_result
        self._shell.compile._filename_map[name] = (result or self._shell).execution_count
        return name

    async def run(self) -> None:
        cast("asyncio.Task[None]", asyncio.current_task()).set_name("cell")
        try:
            for step in self._steps:
                waiting = eval(step, self._shell.user_global_ns, self._shell.user_ns)
                if waiting is not None:
                    await waiting
        except BaseException as error:
            self.error = error
            raise


@contextlib.contextmanager
def _short_tracebacks(shell: Shell) -> Iterator[None]:
    """Have an error that came through this module shown from the user's own lines on."""
    show = shell.showtraceback

    def showtraceback(exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        error: Any = (exc_tuple or sys.exc_info())[1]
        entry, ours = getattr(error, "__traceback__", None), False
        while entry:
            if entry.tb_frame.f_code.co_filename == __file__:
                ours, error.__traceback__ = True, entry.tb_next
            entry = entry.tb_next
        if ours:
            exc_tuple = shell._get_exc_info((type(error), error, error.__traceback__))
        if ours and _has_group(error):  # IPython would print it to stderr, and show no error
            lines = _name_cells(shell, "".join(traceback.format_exception(error)))
            shell._showtraceback(type(error), error, lines.splitlines())
        else:
            show(exc_tuple, *args, **options)

    shell.showtraceback = showtraceback
    yield
    shell.showtraceback = show


@contextlib.contextmanager
def _no_keys_in_errors(shell: Shell) -> Iterator[None]:
    """Have an error shown, and so stored with its notebook, without keys: an SDK's message may quote one."""
    show, redactor = shell._showtraceback, Redactor()

    def showtraceback(kind: type[BaseException], error: BaseException, lines: list[str]) -> None:
        show(kind, redactor.text(str(error)), redactor.texts(lines))

    shell._showtraceback = showtraceback
    yield
    shell._showtraceback = show


class _CleanStream:
    """Stands in for sys.stdout or sys.stderr, and shows no key, also none that is written in pieces."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._text, self._lock = stream, RedactedText(Redactor()), threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, said: str) -> int:
        with self._lock:
            self._stream.write(self._text.feed(said))
        return len(said)

    def write_rest(self) -> None:
        with self._lock:
            self._stream.write(self._text.end())


@contextlib.contextmanager
def _no_keys_in_streams(shell: Shell) -> Iterator[None]:
    """Have what this process prints shown, and so stored, without keys; in a kernel alone."""
    if not hasattr(shell, "kernel"):
        yield
        return
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_CleanStream, before)
    shell.events.register("post_execute", _write_rests)
    yield
    shell.events.unregister("post_execute", _write_rests)
    _write_rests()
    sys.stdout, sys.stderr = before


def _write_rests() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _CleanStream):
            stream.write_rest()


@contextlib.contextmanager
def _no_keys_in_displays(shell: Shell) -> Iterator[None]:
    """Have what is displayed, and a cell's value, shown without keys; pictures are left as they are."""
    publish, write, redactor = shell.display_pub.publish, shell.displayhook.write_format_data, Redactor()

    def clean(data: dict[str, Any]) -> dict[str, Any]:
        texts = {kind: each for kind, each in data.items() if kind not in ("image/png", "image/jpeg")}
        clean: dict[str, Any] = json.loads(redactor.text(json.dumps(texts, default=json_default)))
        return data | clean

    def publish_clean(data: dict[str, Any], *rest: Any, **options: Any) -> None:
        _write_rests()  # what was printed before stands before
        publish(clean(data), *rest, **options)

    def write_clean(data: dict[str, Any], *rest: Any) -> None:
        _write_rests()
        write(clean(data), *rest)

    shell.display_pub.publish, shell.displayhook.write_format_data = publish_clean, write_clean
    yield
    shell.display_pub.publish, shell.displayhook.write_format_data = publish, write


def _has_group(error: BaseException | None) -> bool:
    return isinstance(error, BaseExceptionGroup) or (
        error is not None and (_has_group(error.__cause__) or _has_group(error.__context__))
    )


def _name_cells(shell: Shell, text: str) -> str:
    """Write places in a traceback as IPython does: Cell In[3], line 5."""
    for file, number in shell.compile._filename_map.items():
        text = text.replace(f'File "{file}", ', f"Cell In[{number}], ")
    return text.replace(f'"{Path.home()}/', '"~/')


@contextlib.contextmanager
def _signals_wake_the_loop() -> Iterator[None]:
    """Let the running loop notice a signal at once, not only when it next has something to do."""
    loop = asyncio._get_running_loop()
    if loop is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        loop.add_reader(reader, reader.recv, 4096)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        if before != -1:  # asyncio's own, because there is a signal handler: that will do
            signal.set_wakeup_fd(before)
        yield
        loop.remove_reader(reader)
        last = signal.set_wakeup_fd(-1)
        if last != writer.fileno():
            signal.set_wakeup_fd(last)
