"""Steps of a pipeline: run in order, each with a summary of its own; a failed run can go on where it stopped."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attune.errors import SettingsError, StepError
from attune.logs import log_fields
from attune.run import Job, Run, perform, start


def run_steps(run: Run, steps: Sequence[Job]) -> None:
    """Run steps in order and note the outcome of each in the run's summary as soon as it is known.

    With the option ``resume``, steps that the last run, if unfinished, had done for the same ``as_of`` are skipped.
    Raises StepError with the exit status of the step that fails.
    """
    outcomes = run.summary["steps"] = {}
    done = _done_before(run) if run.options.get("resume") else {}
    for number, step in enumerate(steps, start=1):
        if step.name == "generate" and not run.settings.generate.enabled:
            run.skip(step.name, "generate.enabled is false: the inputs are there already")
            continue
        if step.name in done:
            outcomes[step.name] = done[step.name]
            run.skip(step.name, f"done in run {done[step.name]['run_id']}")
            continue
        run.log(f"step {number} of {len(steps)}: {step.name}")
        child = start(step.name, run.settings, pipeline=run)
        with log_fields(step=step.name, step_run_id=child.run_id):
            status = perform(step, child)
        outcomes[step.name] = {
            "status": child.summary["status"],
            "seconds": child.summary["seconds"],
            "run_id": child.run_id,
            "skipped": child.summary["skipped"],
        }
        run.summary["outputs"] |= child.summary["outputs"]
        run.summary["artefacts"] |= child.summary["artefacts"]
        run.save_summary()
        if status:
            message = f"step {step.name} failed: {child.summary['error']}; mend it, then go on with the same command and --resume"
            raise StepError(message, status)


def _done_before(run: Run) -> dict[str, dict[str, Any]]:
    """Steps that the last pipeline run of this workspace and date had done, unless it was done altogether."""
    for file in sorted(Path(run.settings.workspace).glob(f"runs/*-{run.job}-*/summary.json"), reverse=True):
        summary = json.loads(file.read_text(encoding="utf-8"))
        if summary["run_id"] == run.run_id or summary["as_of"] != run.summary["as_of"]:
            continue
        if summary["status"] == "done":
            break
        if summary["settings"] != run.summary["settings"]:
            run.log("settings have changed since the run that is gone on from; its finished steps are kept as they are")
        return {name: step for name, step in summary["steps"].items() if step["status"] == "done"}
    raise SettingsError("--resume: no unfinished run to go on from in this workspace; run without --resume")
