"""Settings of a finetune job on a tiny encoder."""

from pathlib import Path
from typing import Any, Protocol

import pytest

from attune import config
from models.tiny_bert import write_tiny_bert


class Finetuning(Protocol):
    """Settings, with changes to those of train.tune and train.finetune."""

    def __call__(self, tuning: dict[str, Any] | None = None, **changed: Any) -> config.Config: ...


@pytest.fixture
def finetuning(tmp_path: Path) -> Finetuning:
    """One process, which learns the words of the tiny encoder in seconds."""
    encoder = write_tiny_bert(tmp_path / "encoder")

    def settings(tuning: dict[str, Any] | None = None, **changed: Any) -> config.Config:
        given = {
            "workspace": tmp_path / "workspace", "train.encoder": encoder, "train.launcher": "single", "train.precision": "float32",
            "train.tracking": "[]", "train.finetune.max_tokens": 32, "train.finetune.epochs": 4,
            "train.finetune.learning_rate": 0.002, "train.finetune.head_learning_rate": 0.01, "train.finetune.tokens_per_batch": 512,
            **{f"train.finetune.{name}": value for name, value in changed.items()},
            **{f"train.tune.{name}": value for name, value in (tuning or {}).items()},
        }  # fmt: skip
        return config.load([], [f"{key}={value}" for key, value in given.items()], "2026-03-01")

    return settings
