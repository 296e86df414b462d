"""Schema drift, found before anything is read in full and told by file and column.

Logs change without notice: a column is dropped, renamed, retyped or added; a new kind of event appears; dates,
delimiter or encoding become others. Looked at, on the driver and without a Spark job: the headers of up to 1,000 CSV
files, the first 1,000 rows (1 MB) of up to 10 files (the first, the last, others evenly between), the footers of up to
64 Parquet files. What would lose data is refused (``InputError``); what would not is returned as notes. With
``on_drift: note`` all of it is. No value of a row is told, but kinds of events and the shape of dates.
"""

from attune.config import Config, Input
from attune.errors import InputError
from attune.inputs import columns_drift, encodings, footers, heads, values_drift
from attune.inputs.files import RawFile, list_files
from attune.inputs.findings import Finding, told_files

_MAX_TOLD = 6


def check_drift(settings: Config, name: str, source: Input) -> list[str]:
    """Notes on what changed in an input. Raises InputError for changes that would lose data.

    Example of an error: ``input events: /raw/2026-03-01.csv has no column item; is it now 'sku'? mend the file, or
    inputs.events.schema and inputs.events.columns.item_id``.
    """
    files = list_files(settings, name, source)
    if not files:
        return []
    findings = _parquet(name, source, files) if source.format in ("parquet", "delta") else _text(name, source, files)
    severe = [finding.text for finding in findings if finding.severe]
    if severe and source.on_drift == "refuse":
        more = f"; and {len(severe) - _MAX_TOLD} more" if len(severe) > _MAX_TOLD else ""
        raise InputError(f"input {name}: {'; '.join(severe[:_MAX_TOLD])}{more}")
    return [finding.text for finding in findings]


def _text(name: str, source: Input, files: list[RawFile]) -> list[Finding]:
    sampled = heads.in_parallel(lambda file: heads.read_rows(file, source), heads.sample(files))
    findings = [f for head in sampled for f in encodings.check(name, source, head)]
    if any(finding.severe for finding in findings):
        return findings  # what is decoded wrongly seems to have wrong columns, too
    if source.format == "csv":
        headers = heads.csv_headers(files, source) if heads.has_header(source) else {}
        findings += columns_drift.check_csv(name, source, headers, sampled)
    else:
        findings += columns_drift.check_json(name, source, sampled)
    if any(finding.severe for finding in findings):
        return findings
    return findings + values_drift.check(name, source, sampled)


def _parquet(name: str, source: Input, files: list[RawFile]) -> list[Finding]:
    by_file = footers.sampled_columns(files)
    return [
        *columns_drift.check_typed(name, source, by_file),
        *_retyped(name, by_file),
    ]


def _retyped(name: str, by_file: dict[RawFile, dict[str, str]]) -> list[Finding]:
    """Columns that some Parquet files have in another type than the first file that has them."""
    first: dict[str, str] = {}
    found: dict[tuple[str, str], list[RawFile]] = {}
    for file, columns in by_file.items():
        for column, kind in columns.items():
            if first.setdefault(column, kind) != kind:
                found.setdefault((column, kind), []).append(file)
    return [
        Finding(
            f"{told_files(files)} has {column} as {kind}, other files as {first[column]}; write these files with one type",
            True,
        )
        for (column, kind), files in found.items()
    ]
