"""What moves while a cell runs, and stays as plain HTML when it has ended.

pane.py     one stream: its state, text and times        views.py    where a board is shown
frames.py   what a page has to be told of many           page.py     the widgets: board.js, board.css
frozen.py   what is kept when they have ended            board.py    the board that follows streams
lab.py      a breaker's run, with sliders: lab.js, lab.css
"""

from workbench.widgets.board import StreamBoard

__all__ = ["StreamBoard"]
