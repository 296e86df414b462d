"""How well visits cut by a pause agree with the sessions that the trivago log itself tells, for several pauses.

Usage: python benchmarks/quality_sessions.py [--gaps MINUTES ...]
The log is cleaned with conf/trivago.yaml once for each pause (default 10, 20, 30, 45 and 60 minutes, and the setting's own);
the log's session ids are not shown to it. Beside that, what no cut at all would give: one session a user. Every row of
the log is drawn in, so nothing depends on the seed. Writes benchmarks/results/sessions_trivago.json and prints it as one
line. The log is read from ../shared/data.
"""

import argparse
import datetime as dt
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.metrics import adjusted_rand_score

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "lib"), str(HERE)]

from quality_pipelines import DATA, machine

from attune import config
from attune.jobs.clean import clean
from attune.run import perform, start

if TYPE_CHECKING:
    from attune.tables import Tables

PACKAGES = ("pyspark", "pyarrow", "deltalake", "scikit-learn")
LOG = "trivago_sessions/events.parquet"


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gaps", type=float, nargs="+", default=[10, 20, 30, 45, 60], help="pauses in minutes")
    given = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    settings = config.load(["trivago"], [f"inputs.root={DATA}"])
    own = settings.clean.session_gap_minutes
    log = pd.read_parquet(DATA / LOG)
    by_gap = {f"{gap:g}": _measured(settings, gap, log) for gap in sorted({*given.gaps, own})}
    result = {
        "benchmark": "sessions_trivago",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "seed": settings.seed,
        "rows": len(log),
        "users": log["user_id"].nunique(),
        "sessions_of_the_log": log["session_id"].nunique(),
        "default_gap_minutes": own,
        "default": by_gap[f"{own:g}"],
        "by_gap_minutes": by_gap,
        "one_session_a_user": agreement(log.assign(ours=log["user_id"], theirs=log["session_id"])),
        "versions": {package: version(package) for package in PACKAGES},
        "machine": machine(),
    }
    file = HERE / "results" / "sessions_trivago.json"
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


def _measured(settings: config.Config, gap: float, log: pd.DataFrame) -> dict[str, Any]:
    """Account and agreement of one run of clean."""
    with tempfile.TemporaryDirectory() as workspace:
        changed = settings.clean.model_copy(update={"session_gap_minutes": gap})
        run = start("clean", settings.model_copy(update={"workspace": workspace, "clean": changed}))
        status = perform(clean, run)
        assert status == 0, run.summary.get("error")
        account = run.summary["metrics"]["accounting"]["events"]
        return {"accounting": account, **agreement(both_sessions(run.tables, log))}


def both_sessions(tables: "Tables", log: pd.DataFrame) -> pd.DataFrame:
    """The log's rows that became an action, with their session by the log (``theirs``) and by clean (``ours``).

    Bots' actions are among them: they are cut into visits like any other.
    """
    columns = ["event_id", "session_id"]
    found = pd.concat([tables.read(name).select(*columns).toPandas() for name in ("events", "bot_events")])
    ids = log["session_id"] + "-" + log["timestamp"].astype(str) + "-" + log["step"].astype(str)
    theirs = log.assign(event_id=ids).rename(columns={"session_id": "theirs"})
    return theirs.merge(found.rename(columns={"session_id": "ours"}), on="event_id", validate="one_to_one")


def agreement(rows: pd.DataFrame) -> dict[str, float]:
    """Agreement of two ways to group the actions of users: ``ours`` with ``theirs``, which is taken for the truth.

    Grain: one action; columns user_id, timestamp, ours, theirs. Of pairs of actions in one session, precision and recall;
    their adjusted Rand index (Hubert and Arabie 1985); the share of their sessions that ours has with the same actions;
    and, since most users have one session only, precision, recall and F1 of the cuts between a user's successive actions.
    """
    cells = rows.groupby(["ours", "theirs"]).size().rename("n").reset_index()
    ours, theirs = (cells.groupby(name)["n"].transform("sum") for name in ("ours", "theirs"))
    both = _pairs(cells["n"])
    exact = (cells["n"] == ours) & (cells["n"] == theirs)
    ordered = rows.sort_values(["user_id", "timestamp", "theirs"], kind="stable")
    follows = ordered["user_id"] == ordered["user_id"].shift()
    cuts = {name: follows & (ordered[name] != ordered[name].shift()) for name in ("ours", "theirs")}
    hit = int((cuts["ours"] & cuts["theirs"]).sum())
    figures = {
        "adjusted_rand": adjusted_rand_score(rows["theirs"], rows["ours"]),
        "pair_precision": _ratio(both, _pairs(rows["ours"].value_counts())),
        "pair_recall": _ratio(both, _pairs(rows["theirs"].value_counts())),
        "share_exact": _ratio(int(exact.sum()), rows["theirs"].nunique()),
        "cut_precision": _ratio(hit, int(cuts["ours"].sum())),
        "cut_recall": _ratio(hit, int(cuts["theirs"].sum())),
        "cut_f1": _ratio(2 * hit, int(cuts["ours"].sum() + cuts["theirs"].sum())),
    }
    return {"sessions": rows["ours"].nunique(), **{name: round(float(value), 4) for name, value in figures.items()}}


def _pairs(sizes: pd.Series) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


if __name__ == "__main__":
    sys.exit(main())
