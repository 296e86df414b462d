"""Declared checks of tables, made on staged rows before they are published."""

from attune.quality.gate import check

__all__ = ["check"]
