"""Write docs/jobs/*.md and docs/tables.md from the jobs, the tables' schemas and conf/base.yaml.

Usage: python tools/job_pages.py
"""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BASE = ROOT / "conf" / "base.yaml"
sys.path.insert(0, str(ROOT / "lib"))

from attune import cli
from attune.run import Job
from attune.schemas import TABLES, TableSchema

_MODELS = {
    "sentiment": "is a review positive",
    "text_match": "which items go together, from their texts",
    "cross_match": "is one item taken after another, from both texts together",
    "next_item": "what a user takes next",
    "response": "will a user click on an item shown",
    "ranker": "order of the candidates of a user",
    "finetune": "a model of one's own from table texts, under the name that its settings give it",
    "image_encoder": "copy of the model that reads pictures",
}
_ASKED = {"forget": " --set forget.users_file=users.txt"}
"""What a job cannot do without."""
_HOW = {
    "inputs.root": "the folder of the raw files",
    "report.html": "one page to look at",
    "tables": "all of them, with their versions",
    "runs": "logs and summaries of runs",
    "models": "all of them, with their versions",
    "checkpoints": "of trainings that were cut off",
}


def pages() -> dict[Path, str]:
    """Every page and its text, by path below docs/."""
    jobs = {name: _job(name) for name in cli.jobs()}
    sections = Sections(BASE.read_text(encoding="utf-8"))
    homes = _homes(jobs)
    found = {Path("jobs") / f"{name}.md": _page(job, jobs, homes, sections) for name, job in jobs.items()}
    common = [key for key in sections.parts() if key not in {name.partition(".")[0] for name in homes}]
    found[Path("jobs") / "README.md"] = _index(jobs, common, sections)
    found[Path("tables.md")] = _tables(jobs)
    return found


class Sections:
    """Parts of a settings file, as they stand in it, comments and all."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._starts: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._inner: dict[str, list[str]] = {}
        self._index("", yaml.compose(text), len(self._lines))

    def _index(self, above: str, node: yaml.Node, end: int) -> None:
        if not isinstance(node, yaml.MappingNode) or node.flow_style:
            return
        starts = [self._with_comment(key.start_mark.line) for key, _ in node.value]
        self._inner[above] = [f"{above}.{key.value}".lstrip(".") for key, _ in node.value]
        for name, start, stop, (_, value) in zip(
            self._inner[above], starts, [*starts[1:], end], node.value, strict=True
        ):
            self._starts[name], self._ends[name] = start, stop
            self._index(name, value, stop)

    def _with_comment(self, line: int) -> int:
        """First line of the comment above a key, as far in as the key; one further in goes on from the line above it."""
        text = self._lines[line]
        beginning = f"{text[: len(text) - len(text.lstrip())]}#"
        while line and self._lines[line - 1].startswith(beginning):
            line -= 1
        return line

    def parts(self, of: str = "") -> list[str]:
        """Names of the settings of a section, in order."""
        return self._inner.get(of, [])

    def own(self, section: str, parts: set[str]) -> str:
        """A section as YAML: with the sections it lies in, without those of its parts that are sections of jobs."""
        levels = section.split(".")
        heads = [
            self._lines[self._key_line(".".join(levels[:depth]))].partition(" #")[0] for depth in range(1, len(levels))
        ]
        left_out = {n for key in self.parts(section) if key in parts for n in range(self._starts[key], self._ends[key])}
        lines = [self._lines[n] for n in range(self._starts[section], self._ends[section]) if n not in left_out]
        return "\n".join([*(head.rstrip() for head in heads), *lines]).rstrip()

    def _key_line(self, name: str) -> int:
        line = self._starts[name]
        while self._lines[line].lstrip().startswith("#"):
            line += 1
        return line


def _job(name: str) -> Job:
    found: Job = getattr(importlib.import_module(f"attune.jobs.{name}"), name)
    return found


def _homes(jobs: Mapping[str, Job]) -> dict[str, str]:
    """The job on whose page a section stands: that of the same name, else the first that uses it."""
    homes: dict[str, str] = {}
    for name, job in jobs.items():
        for section in job.settings:
            if section not in homes or section.partition(".")[0] == name:
                homes[section] = name
    return homes


def _page(job: Job, jobs: Mapping[str, Job], homes: Mapping[str, str], sections: Sections) -> str:
    lines = [f"# {job.name}", "", *(line.strip() for line in job.help.splitlines()), ""]
    lines += [
        "```sh",
        f"./spark-submit.sh {job.name}{_ASKED.get(job.name, '')} --dry-run   # what it would read and write",
        "```",
        "",
    ]
    for option, text in job.options.items():
        lines += [f"`--{option}`: {text}.", ""]
    if steps := getattr(importlib.import_module(f"attune.jobs.{job.name}"), "STEPS", ()):
        lines += [
            "Its steps, each with settings of its own: " + ", ".join(f"[{s.name}]({s.name}.md)" for s in steps) + ".",
            "",
        ]
    if job.reads:
        lines += ["## Reads", "", *_list(job.reads), ""]
    if job.writes:
        lines += ["## Writes", "", *_list(job.writes), ""]
    lines += ["## Settings", ""]
    here = [section for section in job.settings if homes[section] == job.name]
    for section in here:
        lines += ["```yaml", sections.own(section, set(homes)), "```", ""]
    elsewhere = [section for section in job.settings if homes[section] != job.name]
    if elsewhere:
        named = ", ".join(f"`{section}` ([{homes[section]}]({homes[section]}.md#settings))" for section in elsewhere)
        lines += [f"{'Also' if here else 'It uses'} {named}.", ""]
    lines += [
        "Those that all jobs share, such as `workspace` and `inputs.root`: [jobs](README.md#settings-of-all-jobs).",
        "",
    ]
    return "\n".join(lines)


def _list(names: tuple[str, ...]) -> list[str]:
    if set(names) == set(TABLES):
        return ["- all [tables](../tables.md)"]
    return [f"- {_told(name)}" for name in names]


def _told(name: str) -> str:
    """What a job reads or writes, with a link where it is a table."""
    if name in TABLES:
        return f"[{name}](../tables.md#{name}): {TABLES[name].grain}"
    if name.startswith("models/"):
        return f"`{name}`: {_MODELS[name.removeprefix('models/')]}"
    if name in _HOW:
        return f"`{name}`: {_HOW[name]}"
    return f"`{name}`, where it is declared: [your own data](../your-data.md)"


def _index(jobs: Mapping[str, Job], common: list[str], sections: Sections) -> str:
    lines = ["# Jobs", "", "| job | what it does |", "|---|---|"]
    lines += [f"| [{name}]({name}.md) | {job.help.splitlines()[0]} |" for name, job in jobs.items()]
    lines += [
        "",
        "Each is run by `./spark-submit.sh JOB`, or `attune JOB` where the package is installed. The tables that they read and",
        "write stand in [tables](../tables.md).",
        "",
        "## Settings of all jobs",
        "",
        "```yaml",
        "\n".join(sections.own(key, set()) for key in common),
        "```",
        "",
    ]
    return "\n".join(lines)


def _tables(jobs: Mapping[str, Job]) -> str:
    lines = [
        "# Tables",
        "",
        "Delta tables in `<workspace>/tables`. `./spark-submit.sh tables` lists those that are there. Times are UTC.",
        "",
    ]
    for table in TABLES.values():
        writers = [
            f"[{name}](jobs/{name}.md)" for name, job in jobs.items() if table.name in job.writes and name != "pipeline"
        ]
        lines += _table(table, writers)
    return "\n".join(lines)


def _table(table: TableSchema, writers: list[str]) -> list[str]:
    of = f" Partitioned by {', '.join(table.partition_by)}." if table.partition_by else ""
    by = f" Written by {', '.join(writers)}." if writers else ""
    columns = [
        f"| {c.name} | {c.type.replace('<', '&lt;')} | {c.meaning.replace('|', chr(92) + '|')} |" for c in table.columns
    ]
    return [
        f"## {table.name}",
        "",
        f"Grain: {table.grain}.{of}{by}",
        "",
        "| column | type | meaning |",
        "|---|---|---|",
        *columns,
        "",
    ]


def main() -> int:
    """Write the pages; those of jobs that are no more go."""
    written = pages()
    (DOCS / "jobs").mkdir(parents=True, exist_ok=True)
    for file in (DOCS / "jobs").glob("*.md"):
        if file.relative_to(DOCS) not in written:
            file.unlink()
    for name, text in written.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
