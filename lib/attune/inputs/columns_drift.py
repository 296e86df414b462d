"""Columns that are missing, renamed or new, in CSV, JSON and Parquet files."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from attune.config import Input
from attune.inputs import heads
from attune.inputs.files import RawFile
from attune.inputs.findings import Finding, bare_column, is_mapped, referred, settings_of, told_files
from attune.inputs.heads import Head
from attune.inputs.names import REQUIRED
from attune.inputs.timestamps import shape

_DELIMITERS = (",", ";", "\t", "|")
_ENOUGH_ROWS = 20
_MAX_SEARCHED = 64 << 20
_ALIKE, _MUCH_ALIKE = 0.6, 0.75


def check_csv(
    name: str, source: Input, headers: Mapping[RawFile, tuple[str, ...]], sampled: Sequence[Head]
) -> list[Finding]:
    """Compare the headers of CSV files with the declared schema, and their delimiter."""
    declared = [column for column, _ in heads.fields_of(source.schema_ or "")]
    findings: list[Finding] = []
    missing: dict[tuple[str, str | None], list[RawFile]] = {}
    new: dict[str, list[RawFile]] = {}
    if not headers:
        findings += [f for head in sampled if (f := _other_delimiter(name, source, head.file, declared))]
    for file, header in headers.items():
        found = {column.lower() for column in header}
        absent = [c for c in declared if c.lower() not in found and c.lower() not in map(str.lower, file.keys)]
        if not header:
            continue
        if absent and (delimiter := _other_delimiter(name, source, file, declared)):
            findings.append(delimiter)
            continue
        undeclared = [c for c in header if c.lower() not in {d.lower() for d in declared}]
        if twice := [column for column, count in Counter(map(str.lower, header)).items() if count > 1]:
            findings.append(Finding(f"{file.shown} has two columns {twice[0]}; mend the file", True))
        for column in absent:
            now = _nearest(column, undeclared) or _alike(column, undeclared, file, sampled)
            undeclared = [c for c in undeclared if c != now]
            missing.setdefault((column, now), []).append(file)
        for column in undeclared:
            new.setdefault(column, []).append(file)
    for (column, now), files in missing.items():
        findings.append(_missing(name, source, column, now, told_files(files)))
    findings += [
        Finding(f"{told_files(files)} has a new column {column}, not read", False) for column, files in new.items()
    ]
    return findings


def check_json(name: str, source: Input, sampled: Sequence[Head]) -> list[Finding]:
    """Compare the keys of JSON rows with the declared schema.

    Keys may be sparse: one is missing where no sampled row has it and its rows are worthless without, or where a file
    has none of it that others always have. One that looks renamed is told whatever it holds.
    """
    counts = {head.file: Counter(key for row in head.rows for key in row) for head in sampled if head.rows}
    rows = {head.file: len(head.rows) for head in sampled}
    total = sum(counts.values(), Counter())
    declared = [column for column, _ in heads.fields_of(source.schema_ or "")]
    known = {column.lower() for column in declared}
    seen = {key.lower() for key in total}
    undeclared = [key for key in total if key.lower() not in known]
    keys = {key.lower() for head in sampled for key in head.file.keys}
    findings = [finding for head in sampled if (finding := _one_document(name, head))]
    for column in declared if total else ():
        if column.lower() in keys or not is_mapped(source, column):
            continue
        if column.lower() in seen:
            findings += _missing_in_some(name, source, column, counts, rows, known)
            continue
        often = [key for key in undeclared if total[key] * 2 > sum(rows.values())]
        needed = _needed(name, source, column, seen)
        if needed and any(_occurs(column, file) for file in counts):
            continue
        now = _nearest(column, often, _ALIKE if needed else _MUCH_ALIKE)
        if needed:
            told = f"; is it now {now!r}" if now else ""
            findings.append(Finding(
                f"no row has a {needed}: is {source.columns[needed]} absent or renamed? "
                f"mend inputs.{name}.columns.{needed}{told} (first {sum(rows.values()):,} rows of "
                f"{told_files([*counts])})", True,
            ))  # fmt: skip
        elif now:
            findings.append(_missing(name, source, column, now, told_files([*counts])))
        else:
            findings.append(Finding(f"none of the first {sum(rows.values()):,} rows has {column}", False))
    if undeclared:
        findings.append(Finding(f"keys that are not declared, and not read: {', '.join(undeclared[:10])}", False))
    return findings


def _one_document(name: str, head: Head) -> Finding | None:
    """Whether a JSON file is one document over many lines, which Spark reads only when told so."""
    if head.rows or not re.match(rb"(?:\xef\xbb\xbf)?\s*(?:\[\s*|\{\s*\n\s*\")", head.raw):
        return None
    what = f"{head.file.shown} is one JSON document, not an object a line"
    return Finding(f"{what}; write it so, or set inputs.{name}.options.multiLine", True)


def check_typed(name: str, source: Input, by_file: Mapping[RawFile, Mapping[str, str]]) -> list[Finding]:
    """Compare the columns of Parquet files with each other and with those that the expressions refer to.

    A column that appears at some file and stays is new; one that the last file lacks is missing.
    """
    if not by_file:
        return []
    everything = list(dict.fromkeys(column for columns in by_file.values() for column in columns))
    keys = {key.lower() for file in by_file for key in file.keys}
    last, findings = [*by_file.values()][-1], []
    wanted = [column for text in source.columns.values() if (column := bare_column(text))]
    for column in dict.fromkeys(wanted):
        if column.lower() not in {c.lower() for c in everything} | keys:
            now = _nearest(column, everything)
            findings.append(_missing(name, source, column, now, told_files([*by_file])))
    for column in everything:
        lacking = [file for file, columns in by_file.items() if column not in columns]
        if not lacking:
            continue
        if column not in last and is_mapped(source, column):
            others = [c for c in last if any(c not in columns for columns in by_file.values())]
            same = [c for c in others if last[c] in {columns.get(column) for columns in by_file.values()}]
            now = _nearest(column, others) or (same[0] if len(same) == 1 else None)
            findings.append(_missing(name, source, column, now, told_files(lacking)))
        else:
            findings.append(Finding(f"{told_files(lacking)} has no {column}, which other files have", False))
    return findings


def _missing(name: str, source: Input, column: str, now: str | None, where: str) -> Finding:
    renamed = f"; is it now {now!r}?" if now else ";"
    mend = f"mend the file, or {settings_of(name, source, column)}"
    return Finding(f"{where} has no column {column}{renamed} {mend}", is_mapped(source, column))


def _missing_in_some(
    name: str,
    source: Input,
    column: str,
    counts: Mapping[RawFile, Counter],
    rows: Mapping[RawFile, int],
    known: Iterable[str],
) -> list[Finding]:
    """Whether one of the files has nothing of a column that nearly all rows of the others have."""
    lacking = [file for file, count in counts.items() if not count[column] and rows[file] >= _ENOUGH_ROWS]
    having = [file for file, count in counts.items() if count[column] >= 0.9 * rows[file] >= 1]
    if not lacking or not having or len(lacking) + len(having) < len(counts):
        return []
    before = {key for file in having for key in counts[file]}
    instead = [
        key
        for key in counts[lacking[-1]]
        if key not in before and key.lower() not in known and counts[lacking[-1]][key] >= 0.9 * rows[lacking[-1]]
    ]
    now = _nearest(column, instead) or (instead[0] if len(instead) == 1 else None)
    seen = {key.lower() for key in counts[lacking[-1]]}
    if now is None and (not _needed(name, source, column, seen) or _occurs(column, lacking[-1])):
        return [Finding(f"{told_files(lacking)} has no {column}, which rows of other files have", False)]
    return [_missing(name, source, column, now, told_files(lacking))]


def _needed(name: str, source: Input, column: str, seen: Iterable[str]) -> str | None:
    """The column of ours that has no value in any row for want of a column, where rows are worthless without it."""
    for ours in REQUIRED[name]:
        text = source.columns.get(ours, "")
        used = referred(text, [field for field, _ in heads.fields_of(source.schema_ or "")])
        if column in used and not any(other.lower() in seen for other in used):
            return ours
    return None


def _occurs(key: str, file: RawFile) -> bool:
    """Whether a JSON file has a key at all, as far as it is worth looking: logs may begin with rows of one kind."""
    written, last, seen = json.dumps(key).encode(), b"", 0
    try:
        for piece, _ in heads.pieces(file):
            if written in last + piece:
                return True
            last, seen = piece[-len(written) :], seen + len(piece)
            if seen > _MAX_SEARCHED:
                break
    except OSError:
        return False
    return False


def _other_delimiter(name: str, source: Input, file: RawFile, declared: Sequence[str]) -> Finding | None:
    """Whether the first line has the declared columns when it is split at another character."""
    text = heads.decode(heads.first_line(file), source)
    ours = heads.separator_of(source)
    known = {column.lower() for column in declared}

    def fit(delimiter: str) -> int:
        fields = next(heads.split_csv(text, source, delimiter), [])
        if not heads.has_header(source):
            return -abs(len(fields) - len(declared))
        return len({field.strip().lower() for field in fields} & known)

    best = max(_DELIMITERS, key=fit)
    if best == ours or fit(best) <= fit(ours) or (heads.has_header(source) and fit(ours) > 1):
        return None
    shown = "a tab" if best == "\t" else repr(best)
    return Finding(
        f"{file.shown} is delimited by {shown}, not by {ours!r}; mend the file or inputs.{name}.options.sep", True
    )


def _nearest(column: str, candidates: Iterable[str], cutoff: float = _ALIKE) -> str | None:
    """The candidate whose name is most like a column's, whatever its capitals and underscores."""
    folded = {candidate.lower().replace("_", "").replace("-", ""): candidate for candidate in candidates}
    found = get_close_matches(column.lower().replace("_", "").replace("-", ""), folded, 1, cutoff)
    return folded[found[0]] if found else None


def _alike(column: str, candidates: Sequence[str], file: RawFile, sampled: Sequence[Head]) -> str | None:
    """The new column of a file whose values look like those that a missing one has in other files."""
    expected = {form for head in sampled if head.file != file for form in _forms(head, column)}
    here = next((head for head in sampled if head.file == file), None)
    if here is None or not candidates:
        return None
    fitting = [c for c in candidates if expected and len(_forms(here, c) & expected) * 2 > len(_forms(here, c))]
    if not expected and len(candidates) == 1:
        return candidates[0]
    return fitting[0] if len(fitting) == 1 else None


def _forms(head: Head, column: str) -> set[str]:
    """Forms that most of a column's values have."""
    forms = Counter(shape(str(row[column])) for row in head.rows if row.get(column) not in (None, ""))
    return {form for form, _ in forms.most_common(5)}
