"""Pictures of items: each has a vector or a reason, each content is encoded once, and what they show joins what texts say."""

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pyspark.sql import functions as F

import attune.scoring.images
from attune import config
from attune.jobs.score import score
from attune.models.encoder import load_encoder
from attune.models.image_encoder import load_image_encoder, store_image_encoder
from attune.models.networks import TextEmbedder, write_network
from attune.models.pictures import read_picture
from attune.models.store import ModelStore
from attune.recommend.inputs import Inputs
from attune.recommend.snapshot import _vectors
from attune.run import Run, start
from attune.schemas import TABLES
from attune.scoring.images import encoding
from attune.scoring.tables import update_embeddings, update_item_images
from attune.tables import conform
from models.test_pictures import png_of_size
from models.tiny_bert import tiny_tokenizer, write_tiny_bert
from models.tiny_vit import encoded, picture, write_tiny_vit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CMYK = encoded(picture("green").convert("CMYK"), "JPEG")
FILES = {
    "red.png": encoded(picture("red")),
    "copies/of red.png": encoded(picture("red")),
    "odd [1] *ü%20.png": encoded(picture("red", 1)),
    "cmyk.jpg": CMYK,
    "moving.gif": encoded(picture("blue"), "GIF", save_all=True, append_images=[picture("red")]),
    "empty.png": b"",
    "page.png": b"<html>404</html>",
    "cut.jpg": CMYK[:-300],
    "bomb.png": png_of_size(60_000, 60_000),
    "strip.png": encoded(Image.new("RGB", (600, 2))),
    "heavy.png": b"\x00" * (33 * 2**20),
}
EXPECTED = {
    "red.png": "scored", "./copies//of red.png": "scored", "odd [1] *ü%20.png": "scored", "cmyk.jpg": "scored",
    "moving.gif": "scored", "empty.png": "missing", "page.png": "not_a_picture", "cut.jpg": "damaged", "bomb.png": "too_large",
    "strip.png": "elongated", "heavy.png": "too_large", "pipe.png": "missing", "nowhere.png": "missing", "copies": "missing",
    "../secret.png": "outside", "/etc/passwd": "outside", "s3a://else/where.png": "outside", "\ud7ff\x00": "missing",
}  # fmt: skip
"""image_path -> status of item_images."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop: pictures good and hostile, both encoders with random weights."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "raw" / "copies").mkdir(parents=True)
    for name, content in FILES.items():
        (folder / "raw" / name).write_bytes(content)
    (folder / "raw" / "12:30.png").write_bytes(CMYK)
    os.mkfifo(folder / "raw" / "pipe.png")
    (folder / "secret.png").write_bytes(FILES["red.png"])
    write_tiny_vit(folder / "vit")
    torch.manual_seed(0)
    network = TextEmbedder(load_encoder(write_tiny_bert(folder / "bert")))
    models = ModelStore(str(folder / "workspace"))
    models.save("text_match", "t1", lambda hidden: write_network(network, tiny_tokenizer(), 16, hidden), {})
    models.promote("text_match", "t1")
    return folder


def started(spark: "SparkSession", folder: Path, paths: dict[str, str | None], *settings: str) -> Run:
    """A run on items with these image paths; all but i0 have a title, and the only user saw i0."""
    given = [f"workspace={folder}/workspace", f"inputs.root={folder}/raw", f"score.image_encoder={folder}/vit"]
    run = start("score", config.load([], [*given, "score.precision=float32", *settings], "2026-03-01"))
    rows = [(item, None if item == "i0" else "red mug", path) for item, path in paths.items()]
    when = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    columns = "user_id string, item_id string, event_type string, event_ts timestamp, ds date"
    tables = {
        "items": spark.createDataFrame(rows, "item_id string, title string, image_path string"),
        "events": spark.createDataFrame([("u", "i0", "view", when, when.date())], columns),
    }
    for name, frame in tables.items():
        if name == "events" and run.has(name):
            continue
        absent = {column: F.lit(None) for column in TABLES[name].names if column not in frame.columns}
        run.write({name: conform(frame.withColumns(absent), name)})
    return run


def images(run: Run) -> pd.DataFrame:
    return run.tables.read("item_images").toPandas().set_index("item_id")


def test_pictures_are_scored_once_and_fused_with_texts(
    spark: "SparkSession", folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: dict[str, str | None] = {f"i{n}": path for n, path in enumerate(EXPECTED)} | {"none": None, "blank": " "}
    first = started(spark, folder, paths)
    score.body(first)
    found = images(first)
    assert dict(zip(EXPECTED, found.loc[[f"i{n}" for n in range(len(EXPECTED))], "status"], strict=True)) == EXPECTED
    assert set(found.index) == set(paths) - {"none", "blank"}
    assert (found["vector"].notna() == (found["status"] == "scored")).all()
    assert first.summary["metrics"]["item_images"]["scored"] == 5
    encoder = load_image_encoder(folder / "vit", torch.device("cpu"), "float32")
    red, green = read_picture(FILES["red.png"])[0], read_picture(CMYK)[0]
    assert red is not None
    assert green is not None
    alone = encoder.encode([red, green])
    for item, expected in (("i0", alone[0]), ("i1", alone[0]), ("i3", alone[1])):
        np.testing.assert_allclose(found.loc[item, "vector"], expected, atol=1e-5)

    vectors = first.tables.read("embeddings").toPandas()
    by_kind = {kind: rows.set_index("id")["vector"] for kind, rows in vectors.groupby("kind")}
    assert set(by_kind) == {"item", "item_image", "item_fused", "user"}
    assert set(by_kind["item"].index) == set(paths) - {"i0"}
    assert set(by_kind["item_image"].index) == {f"i{n}" for n in range(5)}
    assert set(by_kind["item_fused"].index) == set(paths), "those with a picture alone, and those with a text alone"
    assert {len(vector) for vector in by_kind["item_fused"]} == {32 + 16}
    assert {len(vector) for vector in by_kind["user"]} == {32 + 16}
    assert np.linalg.norm(by_kind["item_fused"]["i1"]) == pytest.approx(1, abs=1e-5)

    # Whatever is encoded from here on is told apart by its vector.
    def mark(rows: pd.DataFrame) -> pd.DataFrame:
        marks = [[9.0] * 16] * len(rows)
        return pd.DataFrame({"content_hash": rows["content_hash"], "outcome": "scored", "vector": marks})

    monkeypatch.setattr(attune.scoring.images, "encoding", lambda folder, precision: mark)
    raw = folder / "raw"
    os.utime(raw / "red.png", (1e9, 1e9))
    (raw / "copies" / "of red.png").rename(raw / "moved.png")
    old = (raw / "cmyk.jpg").stat()
    (raw / "cmyk.jpg").write_bytes(CMYK[:-1] + b"x")  # as large and as old as before: not read again
    os.utime(raw / "cmyk.jpg", ns=(old.st_atime_ns, old.st_mtime_ns))
    (raw / "cut.jpg").write_bytes(CMYK + b"whole again")
    again = started(spark, folder, {**paths, "i1": "moved.png", "more": "red.png"})
    update_item_images(again)
    second = images(again)
    assert [item for item, vector in second["vector"].items() if vector is not None and 9.0 in vector] == ["i7"]
    assert (second["status"] == "scored").sum() == 7
    assert second.loc["i0", "modified_ts"].timestamp() == 1e9
    kept = [item for item in found.index if item not in ("i0", "i1", "i7")]
    pd.testing.assert_frame_equal(second.loc[kept], found.loc[kept])
    assert second.loc["more", "content_hash"] == found.loc["i1", "content_hash"]

    before = again.tables.version("item_images")
    same = start("score", again.settings)
    update_item_images(same)
    assert same.summary["skipped"]["item_images"].startswith("up to date")
    assert same.tables.version("item_images") == before

    write_tiny_vit(folder / "vit", seed=1)
    renewed = started(spark, folder, {"i0": "red.png"})
    update_item_images(renewed)
    assert images(renewed).loc["i0", "vector"][0] == 9.0, "another encoder gives another vector"


def test_pictures_alone_make_vectors_too(spark: "SparkSession", folder: Path, tmp_path: Path) -> None:
    """Without a text model, and with an image root of its own in which some pictures are missing."""
    other = (f"workspace={tmp_path}", f"score.image_root=file:{folder}/raw/")
    run = started(spark, folder, {"i0": "moving.gif", "i1": "x.gif"}, *other)
    update_item_images(run)
    update_embeddings(run)
    vectors = run.tables.read("embeddings").toPandas()
    assert sorted(zip(vectors["kind"], vectors["id"], strict=True)) == [
        ("item_fused", "i0"), ("item_image", "i0"), ("user", "u"),
    ]  # fmt: skip
    absent = started(spark, folder, {"i0": "a.png"}, f"workspace={tmp_path}", f"score.image_root={tmp_path}/none")
    update_item_images(absent)
    assert images(absent)["status"].tolist() == ["missing"]


def test_recommendation_takes_fused_vectors_where_there_are_such(spark: "SparkSession") -> None:
    rows = [("a", "item", [1.0, 0.0]), ("a", "item_image", [1.0]), ("a", "item_fused", [0.6, 0.8, 0.0])]
    embeddings = spark.createDataFrame(rows, "id string, kind string, vector array<float>")
    index = spark.createDataFrame([("a", 0)], "item_id string, item int")
    for given, expected in ((embeddings, [0.6, 0.8, 0.0]), (embeddings.where("kind != 'item_fused'"), [1.0, 0.0])):
        matrix = _vectors(Inputs(events=index, embeddings=given), index, 1)
        assert matrix is not None
        np.testing.assert_allclose(matrix[0], expected)


def test_rows_of_a_group_keep_their_order_and_their_reasons(folder: Path) -> None:
    contents = [b"", encoded(picture("red")), b"x", CMYK]
    encode = encoding(str(store_image_encoder(str(folder / "vit"), ModelStore(str(folder / "other")))), "float32")
    found = encode(pd.DataFrame({"content_hash": list("abcd"), "content": contents}))
    assert found["outcome"].tolist() == ["empty", "scored", "not_a_picture", "scored"]
    assert found["vector"].notna().tolist() == [False, True, False, True]
    assert encode(pd.DataFrame({"content_hash": ["a"], "content": [b"x"]}))["vector"].isna().all()
