"""The notebooks: text and .ipynb say the same, and all run on a shop and show figures."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from attune.errors import InputError
from attune.show.workspace import find_workspace

if TYPE_CHECKING:
    from pipeline_run import Ran

ROOT = Path(__file__).parents[2]


def load_tool() -> ModuleType:
    """The program that makes and runs the notebooks."""
    spec = spec_from_file_location("notebooks_tool", ROOT / "tools" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


TOOL = load_tool()
TEXTS: list[Path] = TOOL.texts()
each_notebook = pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.stem)


def test_there_are_five() -> None:
    assert [text.stem[0] for text in TEXTS] == ["1", "2", "3", "4", "5"]
    assert {file.stem for file in TOOL.NOTEBOOKS.glob("*.ipynb")} == {text.stem for text in TEXTS}


@each_notebook
def test_text_and_notebook_say_the_same(text: Path) -> None:
    """What reviewers read in a change is what Databricks imports; `python tools/notebooks.py` brings them in step."""
    stored = text.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert stored == nbformat.writes(TOOL.notebook(text)) + "\n"


@each_notebook
def test_notebooks_can_be_imported_elsewhere(text: Path) -> None:
    """Databricks and Jupyter refuse or misread a notebook that is not valid or names no language."""
    stored = nbformat.read(text.with_suffix(".ipynb"), as_version=nbformat.NO_CONVERT)
    nbformat.validate(stored)
    assert stored.nbformat == 4
    assert stored.metadata["kernelspec"]["language"] == stored.metadata["language_info"]["name"] == "python"


@each_notebook
def test_notebooks_hold_no_outputs_and_no_logic(text: Path) -> None:
    notebook = nbformat.read(text.with_suffix(".ipynb"), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert 5 <= len(code) <= 10
    assert not any(cell.outputs or cell.execution_count for cell in code)
    for word in ("def ", "class ", "lambda", "pyplot", ".groupBy(", ".groupby(", "F."):
        assert not any(word in cell.source for cell in code), f"{word} belongs in lib/attune/show"
    first, last = notebook.cells[0].source, notebook.cells[-1].source
    assert first.startswith(f"# {text.stem[0]}. ")
    assert "## Try next" in last


def test_the_workspace_is_found_here_above_or_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ATTUNE_WORKSPACE", raising=False)
    (tmp_path / "workspace" / "tables").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert find_workspace("workspace") == str(tmp_path / "workspace")
    assert find_workspace("s3://bucket/workspace") == "s3://bucket/workspace"
    with pytest.raises(InputError, match=r"elsewhere holds no tables: run \./spark-submit\.sh pipeline"):
        find_workspace("elsewhere")
    monkeypatch.setenv("ATTUNE_WORKSPACE", str(tmp_path / "workspace"))
    assert find_workspace("elsewhere") == str(tmp_path / "workspace")


def ink(figure: Figure) -> float:
    """Share of the figure's pixels that are not white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return float((np.asarray(canvas.buffer_rgba())[..., :3].min(axis=2) < 250).mean())


def left_by(ran: "Ran") -> tuple[dict[str, int], list[Path]]:
    """Versions of the tables of a workspace, and the folders and models that it has."""
    models = ran.workspace.glob("models/*/*")
    return {name: ran.tables.version(name) for name in ran.tables.names()}, sorted([*ran.workspace.iterdir(), *models])


@each_notebook
def test_a_notebook_runs_on_a_new_shop(ran: "Ran", text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, which has a Spark session already."""
    monkeypatch.setenv("ATTUNE_WORKSPACE", str(ran.workspace))
    before = left_by(ran)
    shown = TOOL.run(text)
    figures = [value for value in shown if isinstance(value, Figure)]
    assert 2 <= len(figures) <= 5
    assert min(map(ink, figures)) > 0.01
    assert all(len(value) for value in shown if isinstance(value, pd.DataFrame))
    # Looking changes nothing: the tables and the models in use stay, and nothing is left lying about.
    assert left_by(ran) == before


def test_a_kernel_runs_a_notebook_and_shows_its_figures(ran: "Ran", monkeypatch: pytest.MonkeyPatch) -> None:
    """As Jupyter does: a process of its own, whose outputs come back as pictures."""
    from nbclient import NotebookClient

    monkeypatch.setenv("ATTUNE_WORKSPACE", str(ran.workspace))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "lib"), *filter(None, sys.path)]))
    monkeypatch.setenv("SPARK_DRIVER_MEMORY", "1g")
    notebook = TOOL.notebook(TEXTS[3])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(TOOL.NOTEBOOKS)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
