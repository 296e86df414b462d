"""Nested values as a flat list of named ones."""

from collections.abc import Mapping
from typing import Any


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names.

    >>> flattened({"train": {"epochs": 2}, "seed": 7, "losses": [0.5, 0.4]})
    {'train.epochs': 2, 'seed': 7, 'losses.0': 0.5, 'losses.1': 0.4}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if isinstance(inner, Mapping):
            flat |= flattened({str(key): item for key, item in inner.items()}, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
