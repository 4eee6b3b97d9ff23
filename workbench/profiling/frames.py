"""Whose code a frame is: the program's own, or a library's that it called."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

__all__ = ["ELSEWHERE", "is_own", "where"]

ELSEWHERE = "(elsewhere)"  # no frame of the program was there
_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_APPLICATIONS = (f"{_PACKAGE}rag{os.sep}", f"{_PACKAGE}practice{os.sep}")
_LIBRARIES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib")})


def is_own(file: str) -> bool:
    """Whether a frame is of the program itself, not of Python, of a package or of this one's lower layers."""
    if file.startswith(_PACKAGE):
        return file.startswith(_APPLICATIONS)
    return not file.startswith(("<built-in", "<frozen", *_LIBRARIES))


def where(file: str, line: int) -> str:
    """A place, as it is shown."""
    return f"cell:{line}" if "ipykernel_" in file else f"{Path(file).name}:{line}"
