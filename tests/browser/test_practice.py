"""Practice, as a learner goes through it in JupyterLab."""

import re

from playwright.sync_api import Page

from tests.browser.lab import Lab, NotebookPage
from workbench.practice.exercise import Exercise

_PASTE = """([entry, source]) => {
  const cells = window.jupyterapp.shell.currentWidget.content.widgets;
  const cell = cells.find(each => each.model.sharedModel.getSource().includes(`${entry}`)
    && each.model.type === 'code' && !each.model.sharedModel.getSource().includes('Task('));
  cell.model.sharedModel.setSource(source);
}"""
_ADDRESS = "() => history.replaceState(null, '', '/lab/tree/practice.ipynb')"  # its links are relative to it
_ACTIVATE = "name => window.jupyterapp.commands.execute('docmanager:open', { path: name })"


def solve(page: Page, exercise: Exercise, source: str) -> str:
    """Paste a program into the task's notebook, run all of it, and return what the notebook says."""
    page.evaluate(_PASTE, [exercise.entry, source])
    notebook = NotebookPage(page)
    assert notebook.run_all()
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)").inner_text()


def test_a_mock_interview_from_its_start_to_the_report(lab: Lab) -> None:
    """Start an interview, open a task, be told the mistake, mend it, pass, and find it in the report."""
    with lab.open_notebook("practice.ipynb") as door:
        page = door.page
        assert door.run_all()
        page.get_by_role("button", name="Start a mock interview").click()
        task = page.locator("ol a").first
        task.wait_for()
        page.get_by_text(re.compile(r"The interview: 4[45]:\d\d left")).wait_for()  # it is drawn by a script
        slug = (task.get_attribute("href") or "").split("/")[-1].removesuffix(".ipynb").split("?")[0]
        exercise = Exercise.load(slug)
        page.evaluate(_ADDRESS)
        task.click()
        lab.wait_for(f"practice/{slug}.ipynb")
        key, wrong = next(iter(exercise.programs("wrong").items()))
        mistake = exercise.mistakes[key.split("__")[0]]
        said = solve(page, exercise, wrong)
        assert mistake.name in said
        assert mistake.says.replace("`", "") in said  # they are set as code
        assert f"{exercise.title}: not yet" in said
        said = solve(page, exercise, exercise.text("solution.py"))
        assert f"{exercise.title}: right" in said
        assert exercise.follow_ups[0].replace("`", "") in said
        page.evaluate(_ACTIVATE, "practice.ipynb")
        lab.wait_for("practice.ipynb")
        assert door.run_all()
        said = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)").inner_text()
        assert "1 tasks solved, in 2 attempts" in said
        assert f"1 × {mistake.name}" in said
        assert re.search(rf"{slug}: solved after \d+ minutes, score 95", said)
