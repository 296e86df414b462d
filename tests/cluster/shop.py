"""What the pipeline made on the cluster, and the settings of jobs as words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.standalone import Submitted


@dataclass(frozen=True)
class Shop:
    """A workspace that the whole pipeline was run in, on the cluster."""

    workspace: Path
    job: Submitted

    def summary(self, step: str) -> dict[str, Any]:
        """Summary of a step of the pipeline."""
        (file,) = self.workspace.glob(f"runs/*-{step}-*/summary.json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found


def arguments(settings: Mapping[str, object]) -> list[str]:
    """Settings as words of a command line."""
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
