"""A rank that dies in the middle of training ends the job within a minute, with an error that names it and shows its last words.

Each case is a driver program of its own with two real ranks; figures of all cases are kept in
benchmarks/results/faults_rank_killed.json.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measured
import pytest

from training.dying import LAST_WORDS

SEED = 3
"""Of the synthetic reviews and the training."""
MOST_SECONDS = 60
LAUNCHERS = ("horovod", "horovodrun", "torch")
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def figures() -> Iterator[dict[str, Any]]:
    """Seconds from each death to the end of the job, kept when all cases ran."""
    found: dict[str, Any] = {}
    yield found
    if len(found) == len(LAUNCHERS) * 3:
        cases = dict(sorted(found.items()))
        measured.save("faults_rank_killed", SEED, {"seconds_to_end": cases}, ("torch", "horovod", "pyspark"))


def train(launcher: str, how: str, scratch: Path, min_ranks: str = "") -> dict[str, Any]:
    """Outcome of a training by two ranks, of which one fails in a given way."""
    paths = os.pathsep.join([str(TESTS.parent / "lib"), str(TESTS)])
    environment = {**os.environ, "PYTHONPATH": paths, "MASTER": "local[2,4]", "SPARK_DRIVER_MEMORY": "1g"}
    program = "import sys; from training.dying import main; main(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, launcher, how, str(scratch), min_ranks], env=environment, capture_output=True, text=True,
        timeout=400, check=False,
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if line.startswith("OUTCOME ")]
    assert told, done.stdout + done.stderr
    outcome: dict[str, Any] = json.loads(told[-1].removeprefix("OUTCOME "))
    assert outcome["sigterm_is_ours"], "the launcher has kept the signal handlers"
    return outcome


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(
    ("how", "said"),
    [("kill", "killed by signal 9, SIGKILL"), ("exit", "exit status 3"), ("exit0", "without a word|exit status")],
)
def test_a_rank_that_dies_ends_the_job_and_is_named(
    launcher: str, how: str, said: str, tmp_path: Path, figures: dict[str, Any]
) -> None:
    """Without it a training that lost a machine at night is found hanging, or ended without a reason, in the morning."""
    outcome = train(launcher, how, tmp_path)
    print(outcome)
    assert outcome["error"] == "RankDiedError"
    assert outcome["message"].startswith("rank 1 of 2 died while training")
    assert re.search(said, outcome["message"])
    notes = "\n".join(outcome["notes"])
    assert "last output of the ranks" in notes
    assert LAST_WORDS in notes
    assert outcome["seconds_to_end"] < MOST_SECONDS
    figures[f"{launcher}, {how}"] = outcome["seconds_to_end"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_error_of_a_rank_is_raised_with_its_traceback(launcher: str, tmp_path: Path) -> None:
    outcome = train(launcher, "raise", tmp_path)
    assert outcome["error"] == "RuntimeError"
    assert outcome["message"] == "KeyError: 'a mistake in the task'"
    assert "on rank 1 of 2" in outcome["notes"][0]
    assert "dying.py" in outcome["notes"][0]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_rank_without_memory_names_the_settings(launcher: str, tmp_path: Path) -> None:
    outcome = train(launcher, "memory", tmp_path)
    assert outcome["error"] == "SettingsError"
    assert "lower train.sentiment.tokens_per_batch (now 256" in outcome["message"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ranks_that_live_share_out_the_rows_and_learn(launcher: str, tmp_path: Path) -> None:
    """The deaths above would prove nothing if no training lived."""
    outcome = train(launcher, "none", tmp_path)
    assert outcome["rows"] == [{"train": 200, "valid": 20}] * 2
    assert outcome["accuracy"] > 0.9


def test_with_fewer_ranks_allowed_a_training_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """A rank is killed at its fifth step; what is learned is what an undisturbed training learns, from four steps on."""
    whole, outcome = (
        train("horovod", "none", tmp_path / "whole", "1"),
        train("horovod", "kill once", tmp_path / "cut", "1"),
    )
    print(outcome)
    assert whole["resumed"] == 0
    assert outcome["resumed"] == 4
    assert 1 <= len(outcome["rows"]) <= 2
    assert sum(rows["train"] for rows in outcome["rows"]) == 400
    for name in ("steps", "losses", "accuracy"):
        assert outcome[name] == pytest.approx(whole[name], abs=2e-4), name


def test_a_rank_that_dies_again_and_again_ends_a_training_that_allows_fewer(tmp_path: Path) -> None:
    """Else a task that its machine cannot hold would be tried for ever."""
    outcome = train("horovod", "kill", tmp_path, "2")
    assert outcome["error"] in ("RankDiedError", "MissingError")
