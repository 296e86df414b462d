"""A user who asks for it is gone from every byte of a workspace, and stays gone; everybody else's rows are as they were."""

import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from attune.clean.forgotten import hash_id
from attune.clean.pseudonyms import pseudonym
from attune.jobs.clean import clean
from attune.jobs.forget import forget
from attune.models.store import ModelStore
from attune.privacy.needles import Needles
from attune.privacy.search import files_under, search_files
from attune.schemas import TABLES
from attune.tables import Tables, conform

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyspark.sql import SparkSession

KEY = "0123456789abcdef0123456789abcdef"
GONE = "u0000017"
OTHERS = ["u0000016", "u0000018", "u00000170"]
TOKENS = {user: pseudonym(user, KEY.encode()) for user in (GONE, *OTHERS)}
SETTINGS: dict[str, Any] = {
    "as_of": "2020-02-01",
    "clean": {"max_quarantine_share": 0.9, "pseudonym_key": "env:ATTUNE_TEST_FORGET_KEY"},
    "inputs": {
        "events": {
            "path": "events", "format": "json", "schema": "user STRING, item STRING, type STRING, ts STRING",
            "columns": {"user_id": "user", "item_id": "item", "event_type": "type", "event_ts": "try_to_timestamp(ts)"},
        },
        "reviews": {
            "path": "reviews", "format": "json", "schema": "id STRING, user STRING, item STRING, stars DOUBLE, body STRING, ts STRING",
            "columns": {"review_id": "id", "user_id": "user", "item_id": "item", "rating": "stars", "body": "body",
                        "review_ts": "try_to_timestamp(ts)"},
        },
        "users": {"path": "users", "format": "json", "schema": "user STRING, region STRING",
                  "columns": {"user_id": "user", "region": "region"}},
    },
}  # fmt: skip


class Shop:
    """A workspace that was cleaned and worked in for a while, and the jobs run on it."""

    def __init__(self, folder: Path, spark: "SparkSession") -> None:
        self.folder, self.spark = folder, spark
        self.workspace = folder / "ws"
        self.tables = Tables(str(self.workspace), spark)
        self.raw()
        assert self.run(clean) == 0
        self.derived("s1", [GONE, *OTHERS])
        self.derived("s2", OTHERS)  # the user is in an old version only
        self.derived("s1", [GONE, *OTHERS], tables=("recommendations", "embeddings", "segments"))
        self.files()

    def raw(self) -> None:
        for number, user in enumerate((GONE, *OTHERS)):
            self.lines("users", number, {"user": user, "region": "north"})
            events = [
                {"user": user, "item": f"i{n}", "type": "click", "ts": f"2020-01-0{n}T10:00:00Z"} for n in (1, 2, 3)
            ]
            self.lines(
                "events", number, *events, {"user": user, "item": "i1", "type": "klick", "ts": "2020-01-04T10:00:00Z"}
            )
            review = {
                "id": f"r{number}",
                "user": user,
                "item": "i1",
                "stars": 4,
                "body": f"Text {number}",
                "ts": "2020-01-05",
            }
            self.lines("reviews", number, review, review | {"id": None, "stars": 9})
        (self.folder / "ws" / "raw" / "events" / "cut.json").write_text(
            f'{{"user": "{GONE}", "item": "i1", "ty\n{{"user": "{OTHERS[0]}", "it\n'
        )

    def lines(self, name: str, number: int, *rows: dict[str, Any]) -> None:
        file = self.workspace / "raw" / name / f"{number}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def derived(self, version: str, users: list[str], tables: tuple[str, ...] = ()) -> None:
        """Tables that other jobs make, as small as can be."""
        tokens = [TOKENS[user] for user in users]
        frames = {
            "recommendations": ([(t, 1, "i9", [version], [f"as {TOKENS[OTHERS[0]][:4]}"]) for t in tokens]
                                + [("*", 1, "i9", [version], ["popular"])],
                                "user_id string, rank int, item_id string, sources array<string>, reasons array<string>"),
            "embeddings": ([(t, "user", [1.0, 0.0]) for t in tokens] + [("i1", "item", [0.0, 1.0])],
                           "id string, kind string, vector array<double>"),
            "user_profiles": ([(t, 0) for t in tokens], "user_id string, segment_id int"),
            "user_item_days": ([(t, "i1", "2020-01-01") for t in tokens], "user_id string, item_id string, ds string"),
            "impression_days": ([(t, "user", "2020-01-01") for t in tokens] + [("i1", "item", "2020-01-01")],
                                "id string, kind string, ds string"),
            "review_sentiment": ([(f"r{n}", "i1", "positive") for n in range(4)], "review_id string, item_id string, label string"),
            "segments": ([(0, [f"loved by {t}" for t in tokens], "all")], "segment_id int, top_items array<string>, name string"),
        }  # fmt: skip
        for name in tables or frames:
            rows, ddl = frames[name]
            frame = self.spark.createDataFrame(rows, ddl)
            for column in TABLES[name].columns:
                if column.name not in frame.columns:
                    frame = frame.selectExpr("*", f"CAST(NULL AS {column.type}) AS `{column.name}`")
            self.tables.publish(self.tables.stage(conform(frame, name), name), {"origin": f'{{"made": "{version}"}}'})

    def files(self) -> None:
        """What lies in a workspace besides tables."""
        token, other = TOKENS[GONE], TOKENS[OTHERS[0]]
        listed = [{"user_id": t, "rank": 1} for t in (token, other)]
        texts = {
            "report.html": f"<td>{token}</td>", "runs/20200101T000000-report-abc/report.html": f"<td>{token}</td>",
            "runs/20200101T000000-score-abc/log.jsonl": json.dumps({"message": f"user {token} scored"}) + "\n",
            "runs/20200101T000000-score-abc/summary.json": json.dumps({"users": [token, other]}, indent=2),
            "lists/part-0.json": "".join(json.dumps(row) + "\n" for row in listed), "lists/.part-0.json.crc": "crc",
            "lists/part-1.csv": f"{token},1,i1\n{other},1,i1\n", "checkpoints/sentiment/step-1/state.json": "{}",
            "scratch/x/rows.bin": "tokens", "tables/_staging-abc/part-0.json": token,
        }  # fmt: skip
        for name, text in texts.items():
            (self.workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (self.workspace / name).write_text(text)
        (self.workspace / "lists" / "part-2.json.gz").write_bytes(gzip.compress(texts["lists/part-0.json"].encode()))
        pq.write_table(pa.Table.from_pylist(listed), self.workspace / "lists" / "part-3.parquet")
        with closing(sqlite3.connect(self.workspace / "mlflow.db")) as database:
            database.execute("CREATE TABLE tags (k TEXT, v TEXT)")
            database.executemany("INSERT INTO tags VALUES (?, ?)", [("note", f"see {token}"), ("note", f"see {other}")])
            database.commit()
        # A killed run's file that no version of the table names.
        pq.write_table(pa.table({"user_id": [token]}), Path(self.tables.path("user_profiles")) / "part-orphan.parquet")
        # The latest commit of a table tells the user, as that of a DELETE by another program.
        DeltaTable(self.tables.path("user_item_days")).delete(f"user_id IN ('{token}', '{TOKENS[OTHERS[2]]}')")
        store = ModelStore(str(self.workspace))
        for version, users in (("v1", 0), ("v2", 0), ("v3", 9)):
            card = {"data_versions": {"user_profiles": users, "items": 0}, "metrics": {}}
            store.save("next_item", version, lambda folder: None, card)
        (store.folder("next_item", "v1") / "users.json").write_text(json.dumps([token]))
        store.promote("next_item", "v2")

    def run(self, job: Any, *overrides: str) -> int:
        (self.folder / "shop.yaml").write_text(json.dumps({"workspace": str(self.workspace), **SETTINGS}))
        return job.main(
            ["--config", str(self.folder / "shop.yaml"), *(part for o in overrides for part in ("--set", o))]
        )

    def forget(self, *users: str) -> int:
        (self.folder / "users.txt").write_text("\n".join(users) + "\n")
        return self.run(forget, f"forget.users_file={self.folder / 'users.txt'}")

    @property
    def summary(self) -> dict[str, Any]:
        latest = max(self.workspace.glob("runs/*/summary.json"), key=lambda file: file.parent.name)
        return json.loads(latest.read_text())

    def traces(self, *users: str) -> list[str]:
        """Files of the workspace, but for the raw ones, that hold users in any form."""
        needles = Needles.of([*users, *(TOKENS[user] for user in users)])
        files = files_under(self.workspace, [self.workspace / "raw"])
        return [found.path for found in search_files(files, needles, str(self.workspace)) if found.places]

    def rows_of_others(self) -> dict[str, list[str]]:
        """All rows of all tables that are of nobody or of other users, as sorted text."""
        content = {}
        for name in self.tables.names():
            frame: DataFrame = self.tables.read(name).toPandas()
            rows = (json.dumps(row, default=str, sort_keys=True) for row in frame.to_dict("records"))
            content[name] = sorted(
                row for row in rows if TOKENS[GONE] not in row and GONE not in row and '"r0"' not in row
            )
        return content


@pytest.fixture(scope="module")
def shop(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTUNE_TEST_FORGET_KEY", KEY)
        yield Shop(tmp_path_factory.mktemp("forget"), spark)


def test_a_user_is_gone_from_every_byte_and_stays_gone(
    spark: "SparkSession", shop: Shop, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = shop.traces(GONE)
    folders = {Path(path).relative_to(shop.workspace).parts[1] for path in held if "/tables/" in path}
    assert folders >= {"events", "sessions", "reviews", "users", "quarantine", "recommendations", "embeddings", "user_profiles",
                       "user_item_days", "impression_days", "segments", "_staging-abc"}  # fmt: skip
    others, version = shop.rows_of_others(), shop.tables.version("recommendations")
    accounts = shop.summary["metrics"]["accounting"]
    capfd.readouterr()

    # Killed after the first table; the next run finishes.
    publish, calls = Tables.publish, []

    def publish_once(*arguments: Any, **named: Any) -> int:
        calls.append(arguments[1].name)
        if len(calls) > 2:  # forgotten, and a table
            raise KeyboardInterrupt
        return publish(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Tables, "publish", publish_once)
        with pytest.raises(KeyboardInterrupt):
            shop.forget(GONE)
    assert shop.traces(GONE)
    assert shop.forget(GONE) == 0

    assert shop.traces(GONE) == []
    told = shop.summary
    files = len(files_under(shop.workspace, [shop.workspace / "raw"]))
    # All but what this run wrote after it: its summary, and its figures in run_metrics with their commit.
    assert told["metrics"]["proof"].startswith(f"{files - 3:,} files, ")
    assert told["metrics"]["proof"].endswith(" 0 hits")
    written = "".join(file.read_text() for file in shop.workspace.glob("runs/*-forget-*/*")) + "".join(
        capfd.readouterr()
    )
    assert GONE not in written
    assert TOKENS[GONE] not in written

    now = shop.rows_of_others()
    assert now.pop("forgotten")
    assert now.pop("segments") != others.pop("segments", None)
    assert set(others.pop("run_metrics")) < set(now.pop("run_metrics")), "each run adds its figures, and erases none"
    assert {name: now[name] for name in others} == others
    assert shop.traces(OTHERS[0])
    assert shop.tables.version("recommendations") == version + 1
    (only,) = shop.tables.history("recommendations")
    assert "-forget-" in str(only.run_id)
    assert shop.tables.metadata("recommendations")["origin"] == '{"made": "s1"}'
    (segment,) = shop.tables.read("segments").collect()
    assert segment["top_items"] == ["loved by <user>", *(f"loved by {TOKENS[user]}" for user in OTHERS)]

    check_files(shop, told)
    check_models(told)
    assert told["metrics"]["sources"]["hold_them"] == 4  # events, cut events, reviews, users

    assert shop.run(clean) == 0
    assert shop.traces(GONE) == []
    for name, account in shop.summary["metrics"]["accounting"].items():
        before = accounts[name]
        expected = {"events": 5, "reviews": 2, "users": 1}[name]
        parts = [account[part] for part in ("rows_kept", "rows_quarantined", "duplicates_dropped", "rows_forgotten")]
        assert sum(parts) == account["rows_read"] == before["rows_read"]
        assert account["rows_forgotten"] == expected
    again = shop.rows_of_others()
    assert {name: again[name] for name in ("events", "reviews", "users", "sessions", "quarantine")} == {
        name: others[name] for name in ("events", "reviews", "users", "sessions", "quarantine")
    }

    # Run again it finds nothing to do, and keeps the history of tables.
    made = [name for name in shop.tables.names() if name != "run_metrics"]
    versions = {name: shop.tables.version(name) for name in made}
    assert shop.forget(GONE) == 0
    assert {name: shop.tables.version(name) for name in made} == versions
    assert len(shop.tables.history("events")) > 1


def test_days_that_are_cleaned_later_leave_the_user_out(spark: "SparkSession", shop: Shop) -> None:
    """With ``since`` rows of earlier runs are read again and put beside the new ones."""
    for user in (GONE, OTHERS[0]):
        late = {"user": user, "item": "i3", "type": "purchase", "ts": "2020-01-20T10:00:00Z"}
        refused = late | {"type": "klick"}
        shop.lines("events/ds=2020-01-20", int(user[1:]), late, refused)
    assert shop.run(clean, "since=2020-01-20", "as_of=2020-01-21") == 0
    assert shop.traces(GONE) == []
    assert shop.summary["metrics"]["accounting"]["events"]["rows_forgotten"] >= 2
    events = shop.tables.read("events").where("item_id = 'i3' AND event_type = 'purchase'").collect()
    assert {row["user_id"] for row in events} == {TOKENS[OTHERS[0]]}
    quarantined = shop.tables.read("quarantine").where("raw LIKE '%2020-01-20%'").collect()
    assert [TOKENS[OTHERS[0]] in row["raw"] or OTHERS[0] in row["raw"] for row in quarantined] == [True]


def check_files(shop: Shop, told: dict[str, Any]) -> None:
    """Files that others need are there without the user, those that are made anew are gone."""
    workspace, other = shop.workspace, TOKENS[OTHERS[0]]
    assert not list(workspace.rglob("report.html"))
    assert not (workspace / "tables" / "_staging-abc").exists()
    assert not (workspace / "checkpoints").exists()
    assert not (workspace / "scratch").exists()
    assert json.loads((workspace / "lists" / "part-0.json").read_text()) == {"user_id": other, "rank": 1}
    assert not (workspace / "lists" / ".part-0.json.crc").exists()
    assert (workspace / "lists" / "part-1.csv").read_text() == f"{other},1,i1\n"
    assert json.loads(gzip.decompress((workspace / "lists" / "part-2.json.gz").read_bytes())) == {
        "user_id": other,
        "rank": 1,
    }
    assert pq.read_table(workspace / "lists" / "part-3.parquet").to_pylist() == [{"user_id": other, "rank": 1}]
    run = workspace / "runs" / "20200101T000000-score-abc"
    assert json.loads((run / "summary.json").read_text()) == {"users": ["<user>", other]}
    assert json.loads((run / "log.jsonl").read_text()) == {"message": "user <user> scored"}
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database:
        assert database.execute("SELECT v FROM tags").fetchall() == [("see <user>",), (f"see {other}",)]
    assert {"file": "lists/part-1.csv", "done": "1 rows erased"} in told["metrics"]["files"]
    (row,) = {(row["salt"], row["hash"]) for row in shop.tables.read("forgotten").collect()}
    assert hash_id(GONE, row[0]) == row[1] == told["metrics"]["hashes"][0]


def check_models(told: dict[str, Any]) -> None:
    """The model in use learned from the user; the one that holds the id itself, and is not in use, is gone."""
    assert told["metrics"]["models"] == [
        {"task": "next_item", "version": "v2", "in_use": True, "learned_from": ["user_profiles"]}
    ]


def test_the_proof_fails_where_a_trace_is_left(
    spark: "SparkSession", shop: Shop, capfd: pytest.CaptureFixture[str]
) -> None:
    place = shop.workspace / "elsewhere.bin"
    place.write_bytes(b"\0" + TOKENS[OTHERS[1]].encode() + b"\0")
    (shop.workspace / "models" / "next_item" / "v2" / "users.json").write_text(json.dumps([OTHERS[1]]))
    assert shop.forget(OTHERS[1]) == 1
    told = shop.summary
    assert told["metrics"]["proof"].endswith(" 2 hits")
    assert "elsewhere.bin (bytes)" in told["error"]
    assert "models/next_item/v2/users.json" in told["error"]
    assert shop.traces(OTHERS[1]) == [str(place), str(shop.workspace / "models" / "next_item" / "v2" / "users.json")]
    assert OTHERS[1] not in "".join(capfd.readouterr())


def test_one_user_at_least_is_named(spark: "SparkSession", shop: Shop) -> None:
    assert shop.run(forget) == 2
    assert "set forget.users_file" in shop.summary["error"]
    assert shop.run(forget, "forget.users_file=/nowhere/users") == 2
