"""A review counts once: repeats go, the earliest stays, whatever the order of the rows; other reviews are not taken for repeats."""

import datetime as dt
import gzip
import itertools
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attune import config
from attune.clean.near_duplicates import (
    MIN_TOKENS,
    NUM_HASHES,
    Kept,
    bands,
    find_repeats,
    jaccard,
    rows_per_band,
    shingles,
    signatures,
)  # fmt: skip
from attune.clean.reviews import as_judged, judge_reviews, mark_repeats, to_reviews
from attune.inputs import REASONS
from attune.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

VOCABULARY = [f"word{number}" for number in range(400)]


def text_of(dice: random.Random, words: int = 60) -> str:
    return " ".join(dice.choices(VOCABULARY, k=words))


def changed(dice: random.Random, text: str, changes: int) -> str:
    words = text.split()
    for _ in range(changes):
        words[dice.randrange(len(words))] = dice.choice(VOCABULARY)
    return " ".join(words)


def brute_force_shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return set(zip(words, words[1:], words[2:], strict=False))


def brute_force(texts: list[str], similarity: float) -> list[bool]:
    kept: list[set[tuple[str, ...]]] = []
    repeats = []
    for text in texts:
        found = brute_force_shingles(text)
        repeats.append(any(len(found & other) / len(found | other) >= similarity for other in kept))
        if not repeats[-1]:
            kept.append(found)
    return repeats


def test_jaccard_of_hashed_shingles_is_that_of_the_words() -> None:
    dice = random.Random(1)
    first = text_of(dice)
    for changes in range(12):
        second = changed(dice, first, changes)
        a, b = brute_force_shingles(first), brute_force_shingles(second)
        assert jaccard(*shingles([first, second])) == pytest.approx(len(a & b) / len(a | b))


def test_signatures_estimate_similarity_without_bias() -> None:
    dice = random.Random(2)
    errors = []
    for _ in range(60):
        first = text_of(dice)
        sets = shingles([first, changed(dice, first, dice.randint(1, 8))])
        signed = signatures(sets)
        errors.append(float(np.mean(signed[0] == signed[1])) - jaccard(*sets))
    assert abs(np.mean(errors)) < 0.02
    assert np.std(errors) < 1.5 * 0.5 / NUM_HASHES**0.5


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.9, 1.0])
def test_repeats_are_those_that_comparing_all_with_all_finds(similarity: float) -> None:
    dice = random.Random(3)
    originals = [text_of(dice) for _ in range(40)]
    texts = [changed(dice, dice.choice(originals), dice.choice([0, 0, 1, 2, 3, 5, 9, 20])) for _ in range(300)]
    found = find_repeats(["item"] * len(texts), list(texts), similarity, Kept())
    expected = brute_force(texts, similarity)
    assert found == expected
    assert 20 < sum(expected) < 280


def test_rows_in_several_batches_and_items_give_what_each_item_gives_alone() -> None:
    dice = random.Random(4)
    originals = [text_of(dice) for _ in range(6)]
    texts: list[str | None] = [changed(dice, dice.choice(originals), dice.randint(0, 3)) for _ in range(120)]
    texts[7] = None
    items = ["a"] * 50 + ["b"] * 10 + ["c"] * 60
    whole = find_repeats(items, texts, 0.8, Kept())
    alone = [r for part in ("a", "b", "c") for r in find_repeats(
        *zip(*[(i, t) for i, t in zip(items, texts, strict=True) if i == part], strict=True), 0.8, Kept())]  # fmt: skip
    kept = Kept()
    in_batches = [
        r
        for start in range(0, 120, 7)
        for r in find_repeats(items[start : start + 7], texts[start : start + 7], 0.8, kept)
    ]
    assert whole == alone == in_batches
    assert not whole[7]


def test_chinese_is_compared_by_characters_and_short_texts_are_not_compared() -> None:
    text = "这家酒店的位置很好，房间也很干净，服务员态度非常热情，早餐的种类丰富，下次还会再来入住。"
    assert find_repeats(["h"] * 3, [text, text.replace("下次", "以后"), text[::-1]], 0.8, Kept()) == [
        False,
        True,
        False,
    ]
    assert find_repeats(["h"] * 2, ["Very good, thank you!"] * 2, 0.8, Kept()) == [False, False]
    ten = " ".join(VOCABULARY[:MIN_TOKENS])
    assert find_repeats(["h"] * 2, [ten, ten.upper() + "!"], 0.8, Kept()) == [False, True]


def test_many_texts_of_one_template_are_judged_in_linear_time() -> None:
    """A campaign of thousands of made-up reviews on one item must not hold up the run."""
    dice = random.Random(5)
    template = text_of(dice, 40)
    texts = [template + " " + text_of(dice, 30) for _ in range(4000)]
    kept = Kept()
    find_repeats(["item"] * len(texts), list(texts), 0.8, kept)
    assert max(len(bucket) for bucket in kept.buckets.values()) <= 64


def test_bands_overlook_hardly_a_pair_at_the_threshold() -> None:
    for similarity in (0.3, 0.5, 0.8, 0.9, 0.99):
        rows = rows_per_band(similarity)
        assert (1 - similarity**rows) ** (NUM_HASHES // rows) <= 1e-3 or rows == 1
    same = bands(signatures(shingles([" ".join(VOCABULARY)] * 2)), 5)
    assert same.shape == (2, NUM_HASHES // 5)
    assert (same[0] == same[1]).all()
    assert len(set(same[0].tolist())) == NUM_HASHES // 5


AS_OF = dt.date(2020, 2, 1)
LONG = "the lamp arrived quickly and the light is warm and bright enough to read by in bed at night"


def review(number: int, user: str = "u1", item: str = "i1", body: str = LONG, **changes: Any) -> dict[str, Any]:
    stamp = dt.datetime(2020, 1, 1, 10, number // 60, number % 60)
    row = {"review_id": None, "user_id": user, "item_id": item, "rating": 5.0, "title": None, "body": body,
           "review_ts": stamp, "helpful_votes": 0, "_raw": "{}", "_file": "f", **changes}  # fmt: skip
    return row


def judged(spark: "SparkSession", rows: list[dict[str, Any]]) -> "DataFrame":
    from pyspark.sql import functions as F

    types = {c.name: c.type for c in TABLES["reviews"].columns if c.name != "ds"} | {
        "_raw": "string",
        "_file": "string",
    }
    ddl = ", ".join(f"{name} {kind}" for name, kind in types.items())
    frame = spark.createDataFrame([tuple(row.get(name) for name in types) for row in rows], ddl)
    mapped = frame.withColumn(REASONS, F.array().cast("array<string>"))
    return judge_reviews(mapped, config.load().clean, AS_OF)


def kept(spark: "SparkSession", rows: list[dict[str, Any]], **settings: Any) -> list[tuple[str, str, str, int]]:
    clean = config.load().clean.model_copy(update=settings)
    table = to_reviews(mark_repeats(judged(spark, rows), clean))
    return sorted(
        (r["user_id"], r["item_id"], r["body"], r["review_ts"].minute * 60 + r["review_ts"].second)
        for r in table.collect()
    )


def test_the_earliest_of_alike_reviews_of_an_item_stays(spark: "SparkSession") -> None:
    alike = LONG.replace("bright", "strong")
    rows = [
        review(3, "u1"),
        review(1, "u2", body=alike),
        review(2, "u3", body=LONG.upper() + "!!"),
        review(4, "u1", item="i2"),
        review(5, "u4", body="Good lamp"), review(6, "u5", body="Good lamp"), review(7, "u5", body="good  lamp"),
        review(8, "u6", body="the lamp broke after two days and the shop did not answer any of my letters", review_id="r1"),
        review(9, "u6", body="the shade came with a dent, the cable is short, and the bulb was missing", review_id="r1"),
    ]  # fmt: skip
    expected = [
        ("u1", "i2", LONG, 4), ("u2", "i1", alike, 1), ("u4", "i1", "Good lamp", 5), ("u5", "i1", "Good lamp", 6),
        ("u6", "i1", rows[7]["body"], 8),
    ]  # fmt: skip
    assert kept(spark, rows, near_duplicate_similarity=0.7) == sorted(expected)
    off = kept(spark, rows, near_duplicate_similarity=None)
    assert [row[3] for row in off if row[1] == "i1" and len(row[2]) > 80] == [3, 1, 2]


def test_what_stays_depends_on_the_rows_alone(spark: "SparkSession") -> None:
    """Else a run after a repartitioning of the log would tell another satisfaction."""
    dice = random.Random(6)
    originals = [text_of(dice, 30) for _ in range(5)]
    rows = [
        review(dice.randint(1, 40), f"u{dice.randint(1, 9)}", f"i{dice.randint(1, 3)}", changed(dice, dice.choice(originals), n % 4),
               review_id=f"r{dice.randint(1, 150)}", rating=float(dice.randint(1, 5)))
        for n in range(200)
    ]  # fmt: skip
    first = kept(spark, rows)
    dice.shuffle(rows)
    shuffled = [row | {"_file": f"f{dice.randint(1, 9)}", "_raw": str(dice.random())} for row in rows]
    assert kept(spark, shuffled) == first
    assert 15 < len(first) < 150


def test_days_run_one_after_another_keep_what_one_run_keeps(spark: "SparkSession") -> None:
    dice = random.Random(7)
    originals = [text_of(dice, 30) for _ in range(4)]
    rows = [review(n, f"u{n}", "i1", changed(dice, dice.choice(originals), n % 5)) for n in range(80)]
    clean = config.load().clean
    at_once = to_reviews(mark_repeats(judged(spark, rows), clean))
    first = to_reviews(mark_repeats(judged(spark, rows[:50]), clean))
    later = judged(spark, rows[50:]).unionByName(as_judged(first), allowMissingColumns=True)
    in_two = to_reviews(mark_repeats(later, clean))
    assert sorted(in_two.collect()) == sorted(at_once.collect())
    assert first.count() < at_once.count() < 80


def test_what_cannot_be_is_refused_with_its_reason(spark: "SparkSession") -> None:
    rows = {
        "rating is not between 1 and 5": review(1, rating=6.0), "helpful_votes is negative": review(2, helpful_votes=-1),
        "item_id is missing": review(3, item=" "), "review has no text": review(4, body="<br/>\u200b"),
        "review_ts is missing or cannot be read": review(5, review_ts=None),
        "review_ts is not before as_of": review(6, review_ts=dt.datetime(2020, 2, 1)),
    }  # fmt: skip
    found = judged(spark, [*rows.values(), review(7)]).select(REASONS).collect()
    assert sorted(row[0] for row in found) == sorted([[why] for why in rows] + [[]])


@pytest.mark.slow
def test_real_reviews_repeat_only_where_a_reader_would_say_so(shared_data: Path) -> None:
    with gzip.open(shared_data / "amazon_reviews" / "reviews.jsonl.gz", "rt", encoding="utf-8") as lines:
        reviews = sorted((r["asin"], r["review_text"]) for r in map(json.loads, lines))
    items, texts = (list(column) for column in zip(*reviews, strict=True))
    found = find_repeats(items, texts, 0.8, Kept())
    by_item = itertools.groupby(zip(items, texts, found, strict=True), key=lambda row: row[0])
    for _, rows in by_item:
        group = list(rows)
        sets = shingles([text for _, text, _ in group])
        for number, (_, _, repeat) in enumerate(group):
            alike = [jaccard(sets[number], other) for other in sets[:number] if other.size and sets[number].size]
            assert repeat == any(similarity >= 0.8 for similarity in alike)
