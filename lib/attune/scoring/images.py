"""Pictures of items: found under one folder, told apart by what is in them, each encoded once.

Spark's ``binaryFile`` source lists and reads them, with Spark's own credentials, so any file system that Spark can reach will do.
Whatever is wrong with a picture, its item has a row with a status.
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import pandas as pd
import torch

from attune.models.image_encoder import ImageEncoder, load_image_encoder
from attune.models.pictures import TOO_LARGE, read_picture
from attune.models.store import verify
from attune.scoring.engine import SCORED, device_of_task, threads_of_task
from attune.tables import conform

if TYPE_CHECKING:
    from PIL import Image
    from pyspark.sql import DataFrame, SparkSession

    from attune.config import Config

MISSING, OUTSIDE, UNREADABLE = "missing", "outside", "unreadable"
MAX_BYTES = 32 * 2**20
"""Of a file; larger ones are not read."""
_PICTURES_PER_GROUP = 16
"""Files that come to a worker together, about."""
_NAMED_FILES = 10_000
"""Up to so many files are read by name, more by reading the folder that all lie in."""
_ABSOLUTE = r"^(/|[A-Za-z][A-Za-z0-9+.-]*:)"


def locate_images(items: "DataFrame", root: str) -> "DataFrame":
    """Grain: an item with an image_path. Columns item_id, path, status, num_bytes, modified_ts; status is null where there is a file.

    Relative paths start from ``root``, a folder or URI, and no other files are looked at: status ``outside``. The others are
    ``missing``, which is also what Spark makes of empty and hidden files, and ``too_large``.
    """
    from pyspark.sql import functions as F

    root = _plain_root(root)
    given = F.regexp_replace(F.trim("image_path"), "^file:/+", "/")
    below = F.regexp_replace(given, r"^(\./)+", "")
    whole = F.when(given.rlike(_ABSOLUTE), given).otherwise(F.concat(F.lit(f"{root}/"), below))
    path = F.regexp_replace(whole, "(?<![:/])/{2,}", "/")
    wanted = items.where(F.trim("image_path") != "").select("item_id", path.alias("path"))
    inside = F.col("path").startswith(f"{root}/") & ~F.col("path").rlike(r"(^|/)\.\.(/|$)")
    ends = wanted.where(inside).agg(F.min("path"), F.max("path")).first()
    assert ends is not None
    files = _list(items.sparkSession, _common_folder(*ends)) if ends[0] is not None else None
    empty = F.lit(None)
    if files is None:
        found = wanted.withColumns({"num_bytes": empty.cast("bigint"), "modified_ts": empty.cast("timestamp")})
    else:
        found = wanted.join(files, "path", "left")
    status = (
        F.when(~inside, OUTSIDE)
        .when(F.col("num_bytes").isNull(), MISSING)
        .when(F.col("num_bytes") > MAX_BYTES, TOO_LARGE)
    )
    return found.select("item_id", "path", status.alias("status"), "num_bytes", "modified_ts")


def fingerprint(located: "DataFrame") -> str:
    """One word for the files of ``locate_images`` as they lie there: it changes with any path, size or time of change."""
    from pyspark.sql import functions as F

    row = located.agg(F.count("*"), F.bit_xor(F.xxhash64("item_id", "path", "num_bytes", "modified_ts"))).first()
    assert row is not None
    return f"{row[0]} items, {row[1] or 0:x}"


def score_images(located: "DataFrame", before: "DataFrame", model_folder: str, settings: "Config") -> "DataFrame":
    """Table item_images. A file as large and as old as at the last run is not read, a content met before not encoded again.

    Args:
        located: as of ``locate_images``.
        before: rows of item_images of this model.
    """
    from pyspark.sql import functions as F

    verify(model_folder)
    known = before.where(F.col("content_hash").isNotNull())
    same_file = ["path", "num_bytes", "modified_ts"]
    files = located.where(F.col("status").isNull()).select(*same_file).distinct()
    untouched = files.join(known.select(*same_file, "content_hash").distinct(), same_file).select(
        "path", "content_hash"
    )
    hashed = _read(files.join(untouched, "path", "left_anti")).select("path", "content_hash").persist()
    outcomes = known.select("content_hash", F.col("status").alias("outcome"), "vector").dropDuplicates(["content_hash"])
    new = (
        hashed.join(outcomes, "content_hash", "left_anti")
        .groupBy("content_hash")
        .agg(F.min("path").alias("path"))
        .persist()
    )
    # A file that has changed since it was hashed has no row here, and its item the status unreadable.
    contents = _read(new).join(new, ["path", "content_hash"], "left_semi")
    outcomes = outcomes.unionByName(_encode(contents, new.count(), model_folder, settings.score.precision))
    rows = located.join(untouched.unionByName(hashed), "path", "left").join(outcomes, "content_hash", "left")
    status = F.coalesce("status", "outcome", F.lit(UNREADABLE))
    read = F.col("outcome").isNotNull() & F.col("status").isNull()
    return conform(
        rows.withColumns({
            "content_hash": F.when(read, F.col("content_hash")), "vector": F.when(read, F.col("vector")), "status": status,
            "model_version": F.lit(os.path.basename(model_folder)),
        }),
        "item_images",
    )  # fmt: skip


def _encode(contents: "DataFrame", num: int, model_folder: str, precision: str) -> "DataFrame":
    """Columns content_hash, outcome, vector of pictures, few at a time: a batch of Arrow's own size may be gigabytes."""
    from pyspark.sql import functions as F

    groups = max(1, -(-num // _PICTURES_PER_GROUP))
    group = F.pmod(F.xxhash64("content_hash"), F.lit(groups)).alias("group")
    return contents.select("content_hash", "content", group).groupBy("group").applyInPandas(
        encoding(model_folder, precision), "content_hash string, outcome string, vector array<float>"
    )  # fmt: skip


def encoding(model_folder: str, precision: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Function of rows (content_hash, content) to rows (content_hash, outcome, vector), which runs on the workers."""

    def encode(rows: pd.DataFrame) -> pd.DataFrame:
        reasons: list[str | None] = []

        def pictures() -> "Iterator[Image.Image]":
            """One at a time: a large picture has 150 MB."""
            for content in rows["content"]:
                picture, reason = read_picture(content)
                reasons.append(reason)
                if picture is not None:
                    yield picture

        vectors = iter(_encoder(model_folder, precision).encode(pictures()))
        columns = {
            "content_hash": rows["content_hash"].to_numpy(),
            "outcome": [reason or SCORED for reason in reasons],
            "vector": pd.Series([next(vectors) if reason is None else None for reason in reasons], dtype=object),
        }
        return pd.DataFrame(columns)

    return encode


@lru_cache(maxsize=1)
def _encoder(model_folder: str, precision: str) -> ImageEncoder:
    """Encoder of a stored model, once per Python worker, after its files have been verified."""
    torch.set_num_threads(threads_of_task())
    verify(model_folder)
    return load_image_encoder(model_folder, device_of_task(), precision)


def _list(spark: "SparkSession", folder: str) -> "DataFrame | None":
    """Columns path, num_bytes, modified_ts of all files below a folder, none of them read; None where there is no such folder."""
    from pyspark.errors import AnalysisException
    from pyspark.sql import functions as F

    try:
        files = _load(spark, [folder])
        files.schema  # noqa: B018 - Spark Connect looks for the folder no earlier
    except AnalysisException as error:
        if "PATH_NOT_FOUND" not in str(error):
            raise
        return None
    return files.select("path", F.col("length").alias("num_bytes"), F.col("modificationTime").alias("modified_ts"))


def _read(files: "DataFrame") -> "DataFrame":
    """Columns path, content, content_hash of files that exist; one that cannot be read has no row."""
    from pyspark.sql import functions as F

    named = [row["path"] for row in files.select("path").limit(_NAMED_FILES + 1).collect()]
    if not named:
        return files.sparkSession.createDataFrame([], "path string, content binary, content_hash string")
    if len(named) > _NAMED_FILES:
        ends = files.agg(F.min("path"), F.max("path")).first()
        assert ends is not None
        named = [_common_folder(*ends)]
    rows = _load(files.sparkSession, named).where(F.col("length").between(1, MAX_BYTES))
    asked = rows.join(files.select("path").distinct(), "path", "left_semi")
    return asked.select("path", "content", F.sha2("content", 256).alias("content_hash"))


def _load(spark: "SparkSession", paths: list[str]) -> "DataFrame":
    from pyspark.sql import functions as F

    from attune.inputs.read import as_named

    reader = spark.read.format("binaryFile").options(
        recursiveFileLookup=True, ignoreMissingFiles=True, ignoreCorruptFiles=True
    )
    rows = reader.load([as_named(path) for path in paths])
    return rows.withColumn("path", F.regexp_replace("path", "^file:/+", "/"))


def _common_folder(first: str, last: str) -> str:
    """Deepest folder that holds all paths, from the first and the last of them in order.

    >>> _common_folder("/raw/images/a/1.png", "/raw/images/b/2.png")
    '/raw/images'
    """
    # commonpath() would take the empty name out of s3a://.
    return os.path.commonprefix([first, last]).rpartition("/")[0]  # noqa: RUF071


def _plain_root(root: str) -> str:
    """A folder as the paths below it start.

    >>> _plain_root("file:///raw//images/"), _plain_root("s3a://shop/images/")
    ('/raw/images', 's3a://shop/images')
    """
    plain = re.sub("^file:/+", "/", root).rstrip("/")
    return plain if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", plain) else os.path.abspath(plain)
