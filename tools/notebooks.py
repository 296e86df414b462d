"""The notebooks, which are kept as text: ``notebooks.py`` writes the .ipynb of each, without outputs.

``notebooks.py WORKSPACE FOLDER`` runs them on a workspace instead, and writes their figures to a folder as PNG.
"""

import ast
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def texts() -> list[Path]:
    """The notebooks as text, in order."""
    return sorted(NOTEBOOKS.glob("*.py"))


def notebook(text: Path) -> NotebookNode:
    """The notebook that a text is, without outputs. The same text gives the same bytes, ids of cells included."""
    made = jupytext.read(text, fmt="py:percent")
    for number, cell in enumerate(made.cells):
        # Jupytext draws ids by lot, which would change every cell in every diff.
        cell["id"] = hashlib.sha256(f"{number if not cell.source else ''}{cell.source}".encode()).hexdigest()[:8]
    made.metadata["language_info"] = {"name": "python", "file_extension": ".py"}
    return made


def run(text: Path) -> list[Any]:
    """Run the cells of a notebook in this process. Returns what they show: the value of each cell that ends in one."""
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for number, cell in enumerate(notebook(text).cells, start=1):
        if cell.cell_type != "code":
            continue
        parsed, where = ast.parse(cell.source), f"{text.name}, cell {number}"
        last = parsed.body.pop() if parsed.body and isinstance(parsed.body[-1], ast.Expr) else None
        exec(compile(parsed, where, "exec"), names)  # noqa: S102 - the cells are our own
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), where, "eval"), names))
    return shown


def main(words: list[str]) -> None:
    """Write the notebooks, or run them and write their figures."""
    if not words:
        for text in texts():
            nbformat.write(notebook(text), text.with_suffix(".ipynb"))
        return
    from matplotlib.figure import Figure

    os.environ["ATTUNE_WORKSPACE"], folder = words[0], Path(words[1])
    folder.mkdir(parents=True, exist_ok=True)
    for text in texts():
        figures = [value for value in run(text) if isinstance(value, Figure)]
        for number, figure in enumerate(figures, start=1):
            figure.savefig(folder / f"{text.stem}-{number}.png")
            print(folder / f"{text.stem}-{number}.png")


if __name__ == "__main__":
    if len(sys.argv) not in (1, 3):
        sys.exit("usage: notebooks.py [WORKSPACE FOLDER]")
    main(sys.argv[1:])
