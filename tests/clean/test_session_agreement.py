"""Visits cut by a pause are those that a real log tells, as far as a pause can tell them."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from attune.jobs.clean import clean
from attune.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "quality_sessions.py"
GAP_SECONDS = 30 * 60


@pytest.fixture(scope="module")
def quality_sessions() -> ModuleType:
    """The benchmark, whose figures the test asserts on a sample."""
    spec = importlib.util.spec_from_file_location("quality_sessions", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_agreement_of_a_case_counted_by_hand(quality_sessions: ModuleType) -> None:
    """Ours cuts u's four actions in the middle, theirs after the third; v's two actions are one session by both."""
    rows = pd.DataFrame(
        {"user_id": list("uuuuvv"), "timestamp": range(6), "ours": list("aabbcc"), "theirs": list("xxxyzz")}
    )
    found = quality_sessions.agreement(rows)
    assert (found["pair_precision"], found["pair_recall"]) == (round(2 / 3, 4), 0.5)
    assert (found["share_exact"], found["cut_precision"], found["cut_recall"]) == (round(1 / 3, 4), 0, 0)
    same = quality_sessions.agreement(rows.assign(ours=rows["theirs"] + "!"))
    assert {value for name, value in same.items() if name != "sessions"} == {1.0}


def test_sessions_of_a_hotel_search_log(
    spark: "SparkSession", shared_data: Path, tmp_path: Path, quality_sessions: ModuleType
) -> None:
    """The cuts are those of the pause to the last row, and agree with the sessions that the log tells."""
    whole = pd.read_parquet(shared_data / quality_sessions.LOG)
    log = whole[whole["user_id"].isin(sorted(whole["user_id"].unique())[::8])]
    (tmp_path / "raw" / "trivago_sessions").mkdir(parents=True)
    log.to_parquet(tmp_path / "raw" / quality_sessions.LOG, index=False)
    workspace = tmp_path / "workspace"
    settings = ["--set", f"workspace={workspace}", "--set", f"inputs.root={tmp_path / 'raw'}"]
    assert clean.main(["--config", "trivago", *settings]) == 0

    (summary,) = workspace.glob("runs/*/summary.json")
    account = json.loads(summary.read_text())["metrics"]["accounting"]["events"]
    of_item = log["action_type"].str.contains(" item")
    bad = int((of_item & ~log["reference"].str.fullmatch("[0-9]+")).sum())
    assert (account["rows_read"], account["rows_quarantined"]) == (len(log), bad)
    assert (account["rows_kept"], account["duplicates_dropped"]) == (len(log) - bad, 0)

    tables = Tables(str(workspace), spark)
    rows = quality_sessions.both_sessions(tables, log)
    assert len(rows) == len(log) - bad
    ordered = rows.sort_values(["user_id", "timestamp"])
    pause = ordered.groupby("user_id")["timestamp"].diff()
    by_hand = (pause.isna() | (pause > GAP_SECONDS)).cumsum()
    assert ordered["ours"].nunique() == by_hand.nunique() == tables.rows("sessions")
    assert by_hand.groupby(ordered["ours"]).nunique().max() == 1

    found = quality_sessions.agreement(rows)
    uncut = quality_sessions.agreement(rows.assign(ours=rows["user_id"]))
    assert found["share_exact"] > 0.9 > uncut["share_exact"]
    assert found["adjusted_rand"] > 0.9
    assert found["cut_f1"] > 0.75

    events = tables.read("events").toPandas().set_index("event_id")
    kept = rows.set_index("event_id").loc[events.index]
    searches = kept["action_type"].isin(["search for destination", "search for poi"])
    assert (events["query"].notna() == searches).all()
    assert (events["query"][searches] == kept["reference"][searches]).mean() > 0.95
    hotels = kept["action_type"].str.contains(" item")
    assert (events["item_id"][hotels] == kept["reference"][hotels]).all()
    assert events["item_id"][~hotels].isna().all()
    assert set(events["event_type"]) == {"click", "view", "search"}
