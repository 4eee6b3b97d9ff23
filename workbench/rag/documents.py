"""Documents that every machine has: what the installed packages say about themselves.

A package is read as source text and never imported: one document for each module, class and function that
has a docstring, with its signature above it.  The same version of a package so gives the same documents in
the same order, on any Python; the standard library's change with Python's own version.

Whatever comes from outside passes :func:`read`, which gives clean text or a typed error.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import DocumentError

__all__ = ["Document", "clean", "package_documents", "read"]

_MOST_BYTES = 4_000_000
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Document:
    """One source: a unique name, such as ``"httpx2.Timeout"``, and its text."""

    name: str
    text: str


def read(name: str, raw: bytes, *, most_bytes: int = _MOST_BYTES) -> Document:
    """The document that some bytes of UTF-8 are; control characters become U+FFFD.

    Args:
        name: of the document.
        raw: its bytes; a byte order mark is dropped.
        most_bytes: what one document may have.

    Raises:
        DocumentError: they are too many, no UTF-8, or nothing but white space.
    """
    if len(raw) > most_bytes:
        raise DocumentError(f"document {name!r} has {len(raw):,} bytes, more than {most_bytes:,}: split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = raw[error.start : error.end]
        message = f"document {name!r} is no UTF-8: {wrong!r} at byte {error.start}; convert it first"
        raise DocumentError(message) from error
    if not text.strip():
        raise DocumentError(f"document {name!r} is empty: leave it out")
    return Document(name, clean(text))


def clean(text: str) -> str:
    """The text with U+FFFD in place of each control character and each half of a surrogate pair."""
    return _CONTROL.sub("\ufffd", text)


def package_documents(*packages: str) -> list[Document]:
    """The docstrings of installed packages, each below its signature; a text that comes again is left out.

    Args:
        packages: their import names, such as ``"httpx2"``; they are read in this order.

    Raises:
        DocumentError: a package is not installed, or has no Python source.
    """
    found: dict[str, Document] = {}
    for package in packages:
        texts: dict[str, tuple[str, str]] = {}
        for path, module in _modules(package):
            for name, signature, docstring in _docstrings(path, module):
                texts.setdefault(docstring, (name, signature))
        for docstring, (name, signature) in texts.items():
            text = f"{signature}\n\n{docstring}" if signature else docstring
            found.setdefault(name, read(name, text.encode(errors="replace")))
    return list(found.values())


def _modules(package: str) -> Iterator[tuple[Path, str]]:
    """The package's public modules and their names, the shallow ones first: those are its API."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise DocumentError(f"package {package!r} is not installed, or has no Python source")
    root = Path(spec.origin)
    if not spec.submodule_search_locations:
        return iter([(root, package)])
    paths = {path.relative_to(root.parent).parts: path for path in root.parent.rglob("*.py")}
    kept = (parts for parts in paths if not {"tests", "testing", "_vendor", "__pycache__"} & set(parts))
    ordered = sorted(kept, key=lambda parts: (len(parts), parts))
    return ((paths[parts], _dotted(package, parts)) for parts in ordered)


def _dotted(package: str, parts: tuple[str, ...]) -> str:
    """A module's name; private modules lend theirs to nobody: what is in them is known by other names."""
    names = (package, *parts[:-1], parts[-1].removesuffix(".py"))
    return ".".join(name for name in names if not name.startswith("_"))


def _docstrings(path: Path, module: str) -> Iterator[tuple[str, str, str]]:
    """(name, signature, docstring) of a module and all that is public in it; none, if it is no Python."""
    try:
        with tokenize.open(path) as file:  # in the encoding that it declares
            source = file.read()
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # a template, another Python's, a test's data
        return
    public = path.stem == "__init__" or not path.stem.startswith("_")
    if public and (docstring := ast.get_docstring(tree)):
        yield module, "", docstring
    lines = source.split("\n")  # as Python counts them: a form feed ends none
    waiting: list[tuple[str, ast.stmt]] = [(module, node) for node in reversed(tree.body)]
    while waiting:
        prefix, node = waiting.pop()
        if not isinstance(node, _Definition) or node.name.startswith("_"):
            continue
        name = f"{prefix}.{node.name}"
        if docstring := ast.get_docstring(node):
            yield name, _signature(node, lines), docstring
        if isinstance(node, ast.ClassDef):
            waiting += [(name, inner) for inner in reversed(node.body)]


def _signature(node: _Definition, lines: Sequence[str]) -> str:
    """The text from ``def`` or ``class`` to the docstring, as it stands in the source, in one line."""
    head = lines[node.lineno - 1 : max(node.lineno, node.body[0].lineno - 1)]
    return " ".join(" ".join(head).split()).rstrip(" :")
