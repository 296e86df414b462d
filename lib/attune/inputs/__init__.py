"""Inputs as the settings declare them: looked at for damage and drift, read without losing a row, mapped to our columns."""

from attune.inputs.damage import check_files
from attune.inputs.drift import check_drift
from attune.inputs.explain import explain_spark_error
from attune.inputs.files import file_day, list_files, resolve_paths, with_file_day
from attune.inputs.mapping import map_columns, raw_text, refuse
from attune.inputs.names import CORRUPT, EXTRA_TYPES, FILE, RAW, REASONS, ROW, UNPARSED
from attune.inputs.read import read_raw

__all__ = [
    "CORRUPT", "EXTRA_TYPES", "FILE", "RAW", "REASONS", "ROW", "UNPARSED",
    "check_drift", "check_files", "explain_spark_error", "file_day", "list_files", "map_columns", "raw_text", "read_raw",
    "refuse", "resolve_paths", "with_file_day",
]  # fmt: skip
