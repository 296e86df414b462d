"""Choose settings of finetune: trials of Optuna, each a training as any other, poor ones ended early."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attune.config import Between, Config
from attune.errors import MissingError, SettingsError
from attune.training.finetune import finetune, split_texts
from attune.training.progress import Point
from attune.training.rank import STOP_FILE

if TYPE_CHECKING:
    import optuna
    from pyspark.sql import DataFrame

DATABASE = "optuna.db"
"""In the workspace: the trials so far."""
_VALID = "valid/"


def tune(
    texts: "DataFrame", settings: Config, version: str, data_versions: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Try settings of ``train.tune.space`` until there are ``trials`` of them, and tell the best.

    Trials are chosen by the tree-structured Parzen estimator (Bergstra et al. 2011), and ended after an epoch in which they
    do worse than half of the earlier ones did. What counts is the metric that chooses the epoch, on the validation texts;
    test texts are never looked at. Trials are kept in ``<workspace>/optuna.db``, one study for each space and data: a run
    that was cut off goes on with the next trial. Models of trials are stored as ``<name>_trials`` and never used.

    Raises MissingError where Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingError("job tune needs the package optuna: pip install 'attune[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    wanted, workspace = settings.train.tune, Path(settings.workspace).resolve()
    name = (
        f"{settings.train.finetune.name or settings.train.finetune.task} {_fingerprint(settings, data_versions or {})}"
    )
    workspace.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{workspace / DATABASE}", study_name=name, direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )  # fmt: skip
    _forget_cut_off(study)
    # A run that goes on must not draw again what the first one drew.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.get_trials(deepcopy=False)))
    held_in = split_texts(texts, settings.train.finetune, settings.seed).where("split <> 'test'")
    while (num := len(_over(study))) < wanted.trials:
        logging.getLogger("attune").info("trial %d of %d", num + 1, wanted.trials)
        study.optimize(lambda trial: _try(trial, held_in, settings, version, data_versions), n_trials=1)
    return _told(study)


def _try(
    trial: "optuna.Trial", texts: "DataFrame", settings: Config, version: str, data_versions: Mapping[str, int] | None
) -> float:
    import optuna

    task = settings.train.finetune
    spaces = settings.train.tune.space
    chosen = {name: _choose(trial, name, space) for name, space in spaces.items() if space is not None}
    changed = task.model_validate(
        task.model_dump() | chosen | {"name": f"{task.name or task.task}_trials", "start_from": "encoder"}
    )
    train = settings.train.model_copy(update={"finetune": changed})
    watcher = _Watcher(trial, Path(settings.workspace).resolve() / "scratch", f"{changed.name}-")
    model = finetune(
        texts, settings.model_copy(update={"train": train}), f"{version}-{trial.number}", data_versions, None, watcher
    )
    if watcher.stopped:
        raise optuna.TrialPruned
    value = model.metrics["valid"][model.chosen_by]
    trial.set_user_attr("model", str(model.folder))
    trial.set_user_attr("seconds", model.metrics["seconds_training"])
    return float(value)


class _Watcher:
    """Reports the epochs of a trial, and has a poor one stopped."""

    def __init__(self, trial: "optuna.Trial", scratch: Path, prefix: str) -> None:
        self._trial, self._scratch, self._prefix = trial, scratch, prefix
        self.stopped = False

    def points(self, points: Sequence[Point]) -> None:
        """Take points of the curves; those with validation metrics end an epoch."""
        for point in points:
            epoch, value = point.values.get("epoch"), point.values.get(_VALID + "chosen")
            if epoch is None or value is None or epoch < 1:
                continue
            self._trial.report(value, int(epoch))
            if self._trial.should_prune() and not self.stopped:
                self.stopped = True
                for folder in self._scratch.glob(f"{self._prefix}*/output"):
                    (folder / STOP_FILE).touch()

    def finish(self, metrics: Mapping[str, float], succeeded: bool) -> None:
        """Nothing to close."""


def _choose(trial: "optuna.Trial", name: str, space: Between | list[Any]) -> Any:
    if isinstance(space, list):
        return trial.suggest_categorical(name, space)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return trial.suggest_int(name, space.low, space.high, log=space.log)
    return trial.suggest_float(name, space.low, space.high, log=space.log)


def _over(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """Trials that have come to an end of their own."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]


def _forget_cut_off(study: "optuna.Study") -> None:
    """Mark trials of a run that was killed as failed: they count for nothing."""
    import optuna

    for trial in study.get_trials(deepcopy=False):
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def _fingerprint(settings: Config, data_versions: Mapping[str, int]) -> str:
    """Short hash of what trials must share to be compared: data, space, and the settings that are not tried."""
    import hashlib
    import json

    tried = {name for name, space in settings.train.tune.space.items() if space is not None}
    fixed = settings.train.finetune.model_dump(mode="json", exclude=tried)
    space = settings.train.tune.model_dump(mode="json")["space"]
    told = json.dumps([fixed, space, dict(data_versions), settings.seed, settings.train.encoder], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def _told(study: "optuna.Study") -> dict[str, Any]:
    """The best trial, and all of them in order."""
    trials = _over(study)
    if all(trial.state.name == "PRUNED" for trial in trials):
        raise SettingsError("no trial came to its end: raise train.tune.trials")
    best = study.best_trial
    return {
        "best": {"trial": best.number, "value": best.value, "settings": best.params},
        "set": [f"train.finetune.{name}={value}" for name, value in best.params.items()],
        "trials": [
            {"trial": t.number, "value": t.value, "state": t.state.name.lower(), "settings": t.params} for t in trials
        ],
    }
