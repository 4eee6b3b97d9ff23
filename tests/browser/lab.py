"""A real JupyterLab and a real browser, driven by a test. Every wait has a limit, in seconds."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright

START_TIMEOUT = 60.0
OPEN_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0

_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # All cells are in the page, also those that are not in view.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}
_OPEN = "path => { window.jupyterapp.commands.execute('docmanager:open', { path }); }"
_IDLE = """name => {
  const { context, sessionContext } = window.jupyterapp?.shell?.currentWidget ?? {};
  return context?.path === name && context.isReady && sessionContext.session?.kernel?.status === 'idle';
}"""
# Without a question about changes that nobody wants, and without waiting for the kernels to be gone.
_CLOSE_ALL = """() => {
  window.jupyterapp.serviceManager.sessions.shutdownAll();
  [...window.jupyterapp.shell.widgets('main')].forEach(widget => widget.dispose());
}"""
_RUN_ALL = """() => {
  window.ranAll = undefined;
  const run = window.jupyterapp.commands.execute('notebook:run-all-cells');
  run.then(succeeded => { window.ranAll = !!succeeded; }, () => { window.ranAll = false; });
}"""
_HEIGHT = """() => {
  const panels = [...document.querySelectorAll('.jp-WindowedPanel-outer')];
  const heights = panels.map(each => each.scrollHeight);
  return Math.max(0, ...heights);
}"""
_TO_THE_TOP = """() =>
  document.querySelectorAll('.jp-WindowedPanel-outer').forEach(each => { each.scrollTop = 0; })"""


@dataclass(frozen=True)
class Server:
    """A JupyterLab server over `folder`, reached on loopback with a token of its own."""

    url: str
    token: str
    folder: Path

    def status(self) -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/status", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: bytes = answer.read()
        return body


@dataclass(frozen=True)
class NotebookPage:
    """One notebook, open in the browser with an idle kernel; `page` is Playwright's."""

    page: Page

    def run_all(self, timeout: float = 120.0) -> bool:
        """Do what Run All Cells does; return whether every cell succeeded."""
        self.page.evaluate(_RUN_ALL)
        self.page.wait_for_function("() => window.ranAll !== undefined", timeout=timeout * 1000)
        return bool(self.page.evaluate("() => window.ranAll"))

    def outputs(self) -> list[str]:
        """Return the text of each output area, as a reader sees it."""
        return self.page.locator(".jp-Cell-outputArea").all_inner_texts()

    def screenshot(self, path: Path, *, width: int = 1280, max_height: int = 12_000) -> None:
        """Take a picture of the whole notebook, not only of what is in view."""
        height = min(max_height, int(self.page.evaluate(_HEIGHT)) + 150)
        self.page.set_viewport_size({"width": width, "height": max(800, height)})
        self.page.evaluate(_TO_THE_TOP)
        self.page.wait_for_timeout(500)  # the page lays itself out again
        self.page.screenshot(path=path)


@dataclass(frozen=True)
class Lab:
    """What a browser test gets: the server, and JupyterLab open in the browser."""

    server: Server
    page: Page

    @contextmanager
    def open_notebook(self, name: str) -> Iterator[NotebookPage]:
        """Open the notebook at this path in the server's folder, with an idle kernel of its own."""
        try:
            self.page.evaluate(_OPEN, name)
            self.wait_for(name)
            yield NotebookPage(self.page)
        finally:
            self.page.evaluate(_CLOSE_ALL)

    def wait_for(self, name: str) -> None:
        """Wait until this notebook is in front, and its kernel idle."""
        self.page.wait_for_function(_IDLE, arg=name)


@contextmanager
def open_lab(server: Server, context: BrowserContext) -> Iterator[Lab]:
    """Load JupyterLab, which takes longer than all that is done in it: once for many notebooks."""
    with context.new_page() as page:
        page.set_default_timeout(OPEN_TIMEOUT * 1000)
        page.goto(f"{server.url}/lab?reset&token={server.token}")
        page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")
        yield Lab(server, page)


def _environment(private: Path) -> dict[str, str]:
    """Give the server nothing of the user's settings, and no way to a real provider."""
    unwanted = {"JUPYTER_PATH", "JUPYTER_CONFIG_PATH"}
    unwanted |= {"WORKBENCH_PROVIDER", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        environment[f"JUPYTER_{name}"] = str(private / name.lower())
    for name in ("SETTINGS_DIR", "WORKSPACES_DIR"):
        environment[f"JUPYTERLAB_{name}"] = str(private / name.lower())
    environment["WORKBENCH_PRACTICE_DIR"] = str(private / "practice")
    environment |= {"IPYTHONDIR": str(private / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
    for name, value in _SETTINGS.items():
        file = private / "settings_dir" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))
    return environment


@contextmanager
def serve(folder: Path, private: Path) -> Iterator[Server]:
    """Run JupyterLab over `folder`, its settings and log in `private`, and stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", secrets.token_hex(16), folder)
    environment = _environment(private)
    log = private / "server.log"
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": folder,
        "IdentityProvider.token": server.token,
        "KernelManager.transport_encryption": "auto",
        "LabApp.expose_app_in_browser": True,
        "LabApp.extension_manager": "readonly",
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for pytest, which then stops the server
        )
    try:
        _wait_until_up(server, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            server.status()
        except urllib.error.URLError:
            time.sleep(0.1)  # a real process starts in real time
        else:
            return
    tail = log.read_text(errors="replace")[-4000:]
    raise RuntimeError(f"JupyterLab was not up after {START_TIMEOUT:.0f} s; its log:\n{tail}")


def find_chromium() -> str | None:
    """Return the browser that WORKBENCH_CHROMIUM names, or the first that is installed."""
    named = os.environ.get("WORKBENCH_CHROMIUM")
    known = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return named or next(filter(None, known), None)


@contextmanager
def browse(chromium: str) -> Iterator[BrowserContext]:
    """Start the browser, without a window and without anything that it would fetch by itself."""
    flags = ["disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
    flags += ["disable-component-update", "disable-sync", "disable-dev-shm-usage"]
    arguments = [f"--{flag}" for flag in flags]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        with browser.new_context(viewport={"width": 1280, "height": 1000}) as context:
            yield context
        browser.close()
