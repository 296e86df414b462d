"""What the documentation shows: its commands work, its pages are those of the jobs, its example shop comes out as told."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attune import cli
from attune.recommend.sources import NOT_PROPOSED
from attune.tables import Tables
from recommend.tiny import LAMP_BUYER, NOVELTY, STRANGER, batch, catalogue

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FOREIGN = {"echo", "rm"}
"""First words of commands that are not ours: their files are there, see ``write_files``."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def write_files(page: Path, folder: Path) -> None:
    """Files that a page shows after their names, or has a command write."""
    (folder / "users.txt").write_text("u0000000\n", encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    for name, content in re.findall(r"`([\w/.]+)`:\n\n```(?:csv|yaml)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "command"),
    [(page, command) for page in PAGES for command in commands(page)],
    ids=lambda part: part.name if isinstance(part, Path) else part,
)
def test_commands_work(
    page: Path, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each job line is accepted as it stands, in a dry run; make targets exist."""
    write_files(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("FOLDER", str(ROOT)))
    if words[0] in FOREIGN:
        return
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return
    assert words[0] in ("./spark-submit.sh", "attune"), f"nobody tests {command!r}"
    if words[1:] == ["--help"]:
        assert cli.main(words[1:]) == 0
        return
    while words[1].startswith("-"):
        del words[1 : 2 + ("=" not in words[1])]
    if words[1] == "doctor":
        assert words[2:] == []
        return
    if words[1] == "why":
        assert cli.main(words[1:]) in (0, 3), "3: there are no recommendations yet"
        return
    asked_already = words[1] in ("tables", "features") or "--dry-run" in words
    status = cli.main(words[1:] if asked_already else [*words[1:], "--dry-run"])
    assert status == 0 or (words[1] == "tables" and "run the job that writes it first" in capsys.readouterr().err)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_those_of_the_jobs_and_tables() -> None:
    pages = script("job_pages").pages()
    there = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs" / "jobs").glob("*.md")}
    assert there == {path for path in pages if path.parent == Path("jobs")}, "run: make docs"
    for path, text in pages.items():
        assert (ROOT / "docs" / path).read_text(encoding="utf-8") == text, f"docs/{path} is behind; run: make docs"


def test_every_setting_stands_on_a_page() -> None:
    told = set("\n".join(page.read_text(encoding="utf-8") for page in PAGES).splitlines())
    for line in (ROOT / "conf" / "base.yaml").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            assert line in told or line.partition(" #")[0].rstrip() in told, f"on no page: {line}"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def clean(folder: Path) -> list[str]:
    """The page's command; the JVM of the tests started in another folder, so that paths must be whole."""
    return ["clean", "--config", "shop.yaml", "--set", f"workspace={folder}/workspace/shop"]


def test_the_shop_of_two_files_comes_out_as_told(
    spark: "SparkSession", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(ROOT / "docs" / "your-data.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(clean(tmp_path)) == 0
    tables = Tables(f"{tmp_path}/workspace/shop", spark)
    assert tables.rows("events") == 8
    assert tables.rows("items") == 3
    assert {row["event_type"] for row in tables.read("events").collect()} == {"purchase", "refund"}
    refused = tables.read("quarantine").where("source = 'events'").collect()
    assert [list(row["reasons"]) for row in refused] == [["item_id is missing"]]
    (summary,) = Path("workspace/shop/runs").glob("*/summary.json")
    assert json.loads(summary.read_text())["metrics"]["accounting"]["events"]["duplicates_dropped"] == 1


MISTAKES = [
    ("event_type: if", "event_typ: if", 2, "did you mean 'event_type'"),
    ("try_to_timestamp(ordered_at)", "try_to_timestmp(ordered_at)", 2, "try_to_timestmp"),
    ("path: orders.csv", "path: order.csv", 3, "order.csv"),
    ("max_quarantine_share: 0.2 ", "max_quarantine_share: 0.05 ", 3, "item_id is missing"),
]


@pytest.mark.parametrize(("right", "wrong", "status", "told"), MISTAKES, ids=[wrong for _, wrong, _, _ in MISTAKES])
def test_a_mistake_is_told_and_nothing_written(
    right: str, wrong: str, status: int, told: str,
    spark: "SparkSession", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_files(ROOT / "docs" / "your-data.md", tmp_path)
    file = tmp_path / "shop.yaml"
    text = file.read_text(encoding="utf-8")
    assert right in text
    file.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert cli.main(clean(tmp_path)) == status
    assert told in capsys.readouterr().err
    assert set(Tables("workspace/shop").names()) <= {"run_metrics"}


@pytest.mark.parametrize(("right", "wrong", "told"), [(",", ";", "';'"), ("customer", "client", "client")])
def test_another_file_than_declared_is_told(
    right: str, wrong: str, told: str,
    spark: "SparkSession", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_files(ROOT / "docs" / "your-data.md", tmp_path)
    orders = tmp_path / "shop" / "orders.csv"
    orders.write_text(orders.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert cli.main(clean(tmp_path)) == 3
    assert told in capsys.readouterr().err


def test_the_source_that_is_added_proposes() -> None:
    (code,) = [block for block in blocks(ROOT / "docs" / "extending.md", "python") if "def newest" in block]
    names: dict[str, object] = {"np": np, "Catalogue": object, "Batch": object, "Floats": object}
    exec(code, names)  # noqa: S102
    scores = names["newest"](catalogue(), batch(LAMP_BUYER, STRANGER))  # type: ignore[operator]
    assert scores.shape == (2, 4)
    assert scores[0].argmax() == NOVELTY
    assert (scores > NOT_PROPOSED).all()
