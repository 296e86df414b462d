"""An id is found wherever it may lie: a search that misses one calls a workspace clean that is not."""

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, create_table_with_add_actions
from pyarrow import orc

from attune.privacy.needles import Needles, is_telling, spellings
from attune.privacy.search import Found, files_under, search_file, search_files
from attune.schemas import TABLES

USER = "u0000017"
PIECE = 1 << 16
"""Bytes of a stream that these tests read at a time."""
OTHERS = [f"u{n:07d}" for n in range(100, 400)]
"""Enough text around the id that a compressed page does not hold it as it is."""


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attune.privacy.search._PIECE", PIECE)


def find(path: Path, *ids: str) -> Found:
    return search_file(str(path), Needles.of(ids or [USER]), str(path.parent))


def write_parquet(path: Path, values: pa.Array) -> Path:
    pq.write_table(pa.table({"a": values}), path, compression="zstd", compression_level=9, write_statistics=False)
    return path


def column(path: Path) -> Path:
    return write_parquet(path / "a.parquet", pa.array([*OTHERS, f"said {USER}.", *OTHERS]))


def nested_list(path: Path) -> Path:
    inner = [{"who": [*OTHERS, USER], "n": 1}]
    return write_parquet(path / "a.parquet", pa.array([inner, inner, None]))


def binary(path: Path) -> Path:
    return write_parquet(path / "a.parquet", pa.array([v.encode() for v in [*OTHERS, USER]]))


def dictionary(path: Path) -> Path:
    """A dictionary whose value no row has any more."""
    values = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array([*OTHERS, USER]))
    file = path / "a.parquet"
    table = pa.table({"a": values})
    pq.write_table(table, file, compression="zstd", compression_level=9, write_statistics=False, store_schema=False)
    assert USER not in pq.read_table(file)["a"].to_pylist()
    return file


def footer(path: Path) -> Path:
    """Smallest and largest values, which a footer keeps uncompressed."""
    file = path / "a.parquet"
    pq.write_table(pa.table({"a": [f"{USER[:-1]}6", USER]}), file, compression="zstd")
    return file


def delta_log(path: Path) -> Path:
    table = DeltaTable.create(str(path / "t"), schema=Schema.from_json(TABLES["users"].json()))
    stats = json.dumps({"numRecords": 1, "minValues": {"user_id": USER}, "maxValues": {"user_id": USER}})
    actions = [AddAction("part-0.parquet", 10, {}, 0, True, stats)]
    table.create_write_transaction(actions, "append", table.schema(), [])
    return path / "t" / "_delta_log" / f"{1:020}.json"


def delta_checkpoint(path: Path) -> Path:
    folder, schema = path / "t", Schema.from_json(TABLES["users"].json())
    stats = json.dumps({"numRecords": 1, "minValues": {"user_id": USER}, "maxValues": {"user_id": USER}})
    names = [f"part-{n:04d}-{other}.parquet" for n, other in enumerate(OTHERS)]
    actions = [AddAction(name, 10, {}, 0, True, stats) for name in names]
    create_table_with_add_actions(str(folder), schema, actions)
    DeltaTable(str(folder)).create_checkpoint()
    return folder / "_delta_log" / f"{0:020}.checkpoint.parquet"


def test_an_id_that_could_be_a_number_is_found_in_what_a_log_tells_of_files(tmp_path: Path) -> None:
    """Smallest and largest values of a file that is gone, as text or as structs."""
    stats = json.dumps({"numRecords": 1, "minValues": {"user_id": "16014", "item_id": "22423"}})
    rows = [{"add": {"path": f"{n}", "stats": stats}} for n in range(100)]
    parsed = [
        {"add": {"path": f"{n}", "stats_parsed": {"minValues": {"user_id": "16014", "item_id": "22423"}}}}
        for n in range(100)
    ]
    for number, found in enumerate((rows, parsed)):
        file = tmp_path / f"{number}.checkpoint.parquet"
        pq.write_table(pa.Table.from_pylist(found), file, compression="zstd", write_statistics=False)
        assert find(file, "16014").places
        assert not find(file, "22423").places


def json_lines(path: Path) -> Path:
    (path / "log.jsonl").write_text(json.dumps({"message": f"at {USER}, again"}) + "\n")
    return path / "log.jsonl"


def zipped(path: Path) -> Path:
    (path / "a.json.gz").write_bytes(gzip.compress(f'{{"user": "{USER}"}}\n'.encode() + b"x" * (1 << 20)))
    return path / "a.json.gz"


def across_pieces(path: Path) -> Path:
    """In gzip, over the end of the piece that is read at a time."""
    start = PIECE - 3
    (path / "a.gz").write_bytes(gzip.compress(b" " * start + USER.encode() + b" " * start))
    return path / "a.gz"


def archive(path: Path) -> Path:
    with zipfile.ZipFile(path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("inner.txt", " ".join([*OTHERS, USER]))
    return path / "a.zip"


def orc_file(path: Path) -> Path:
    orc.write_table(pa.table({"a": ["u0000000", *OTHERS, USER]}), str(path / "a.orc"), compression="zstd")
    return path / "a.orc"


def sqlite(path: Path) -> Path:
    with closing(sqlite3.connect(path / "mlflow.db")) as database:
        database.execute("CREATE TABLE params (run TEXT, value TEXT)")
        database.execute("INSERT INTO params VALUES ('abc', ?)", [USER])  # values lie side by side in its file
        database.commit()
    return path / "mlflow.db"


def of_newer_arrow(path: Path) -> Path:
    """With a note on Arrow types that this Arrow cannot read, as delta-rs leaves it."""
    file = column(path)
    content = file.read_bytes()
    start = content.index(b"ARROW:schema") + len("ARROW:schema") + 4
    file.write_bytes(content[:start] + b"AAAA" + content[start + 4 :])
    with pytest.raises(pa.ArrowInvalid):
        pq.ParquetFile(file)
    return file


def html(path: Path) -> Path:
    (path / "report.html").write_text(f"<td>{USER}</td>")
    return path / "report.html"


def file_name(path: Path) -> Path:
    (path / f"user_id={USER}").write_text("-")
    return path / f"user_id={USER}"


@pytest.mark.parametrize(
    "plant",
    [column, nested_list, binary, dictionary, footer, delta_log, delta_checkpoint, json_lines, zipped, across_pieces, archive, orc_file,
     of_newer_arrow, sqlite, html, file_name],
)  # fmt: skip
def test_an_id_is_found_wherever_it_lies_and_its_neighbours_are_not(
    plant: Callable[[Path], Path], tmp_path: Path
) -> None:
    file = plant(tmp_path)
    assert find(file).places
    for other in ("u000001", "0000017", "u00000170"):
        assert find(file, other).places == ()


def test_compression_is_looked_into(tmp_path: Path) -> None:
    """Where the bytes as they lie do not tell, what they stand for does."""
    for plant in (column, nested_list, binary, dictionary, zipped, archive, orc_file):
        (tmp_path / plant.__name__).mkdir()
        file = plant(tmp_path / plant.__name__)
        assert USER.encode() not in file.read_bytes()
        assert find(file).places


@pytest.mark.parametrize("user", ["jö/17@x.org", 'a"b&c 17x', "客户000017"])
def test_an_id_is_found_however_it_is_escaped(user: str, tmp_path: Path) -> None:
    from html import escape
    from urllib.parse import quote, quote_plus

    written = [json.dumps({"u": user}), json.dumps({"u": user}, ensure_ascii=False), json.dumps(json.dumps({"u": user})),
               f"?u={quote(user)}&", f"?u={quote_plus(user)}&", f"?u={quote(user, safe='').lower()}&", f"<b>{escape(user)}</b>",
               json.dumps({"u": user}).replace("/", "\\/")]  # fmt: skip
    for number, text in enumerate(written):
        file = tmp_path / f"{number}.txt"
        file.write_text(text, encoding="utf-8")
        assert find(file, user).places == ("bytes",), text
        assert find(file, user + "1").places == ()


@pytest.mark.parametrize("text", ["\\nu0000017", "%20u0000017", "\\u0020u0000017,", "-u0000017-"])
def test_an_escape_before_an_id_does_not_hide_it(text: str) -> None:
    needles = Needles.of([USER])
    assert needles.found_in(text.encode())
    assert USER not in needles.masked(text.encode()).decode()
    assert pa.compute.match_substring_regex(pa.array([text]), needles.words).to_pylist() == [True]


def test_an_id_that_could_be_a_number_is_looked_for_where_users_stand(tmp_path: Path) -> None:
    """16014 is a customer and an article of one shop: no count or article may be taken for the customer."""
    assert not is_telling("16014")
    rows = pa.table({"user_id": ["16014", "2"], "item_id": ["1", "16014"]})
    pq.write_table(rows, tmp_path / "both.parquet")
    pq.write_table(rows.slice(1), tmp_path / "item.parquet")
    assert "user_id" in find(tmp_path / "both.parquet", "16014").places
    assert find(tmp_path / "item.parquet", "16014").places == ()
    texts = {'{"rows": 16014, "item_id": "16014"}': False, '{"user_id": "16014"}': True, "1,16014\n": False,
             "x\n16014,1,lamp\n": True, "<td>16014</td>": True, '{"stats":"{\\"user_id\\":\\"16014\\"}"}': True,
             '{"user_split": "16014"}': False}  # fmt: skip
    for number, (text, held) in enumerate(texts.items()):
        file = tmp_path / f"{number}.txt"
        file.write_text(text)
        assert bool(find(file, "16014").places) == held, text
        assert search_file(str(file), Needles.of(["16014"], everywhere=True)).places


def test_refused_rows_are_searched_for_words(tmp_path: Path) -> None:
    pq.write_table(pa.table({"raw": ["1;x;16014;2010"], "reasons": [["bad"]]}), tmp_path / "q.parquet")
    assert find(tmp_path / "q.parquet", "16014").places == ("raw", "raw (footer)")[::-1]
    assert find(tmp_path / "q.parquet", "1601").places == ()


def test_what_cannot_be_looked_into_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.avro").write_bytes(b"Obj\x01" + b"x" * 20)
    (tmp_path / "b.parquet").write_bytes(b"PAR1" + USER.encode() + b"!")
    assert find(tmp_path / "a.avro").unread == "Avro"
    damaged = find(tmp_path / "b.parquet")
    assert damaged.unread.startswith("damaged")
    assert find(tmp_path / "b.parquet", "PAR1u0000017").places == ("bytes",)


def test_all_files_are_searched_but_those_left_out(tmp_path: Path) -> None:
    for name in ("a/x", "a/.hidden/x", "raw/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(USER)
    files = files_under(tmp_path, [tmp_path / "raw"])
    assert [Path(file).relative_to(tmp_path).as_posix() for file in files] == ["a/.hidden/x", "a/x"]
    gone = [*files, str(tmp_path / "gone")]
    found = list(search_files(gone, Needles.of([USER]), str(tmp_path)))
    assert [(one.path, one.bytes, one.places) for one in found] == [(file, 8, ("bytes",)) for file in files]


def test_masking_replaces_ids_and_nothing_else() -> None:
    needles = Needles.of([USER, "16014", "u0000018"])
    text = b'{"user_id":"16014","n":16014,"m":"u0000017u0000018 u0000017,u0000018 u00000171"}'
    assert needles.masked(text) == b'{"user_id":"<user>","n":16014,"m":"u0000017u0000018 <user>,<user> u00000171"}'


def test_spellings_hold_the_text_itself() -> None:
    assert spellings("u1") == {"u1"}
    assert {"a b", "a+b", "a%20b"} <= spellings("a b")
