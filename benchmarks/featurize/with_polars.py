"""The feature tables in hand-written Polars: what bench_featurize.py measures Spark against.

Usage: python with_polars.py SPEC.json, as bench_featurize.py writes it. Prints the seconds of each repetition as JSON.
"""

import datetime as dt
import json
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl

DAYS = (1, 7, 30, 90)
KINDS = {
    "search": "searches", "click": "clicks", "view": "views", "cart": "carts", "purchase": "purchases",
    "refund": "refunds",
}  # fmt: skip
USER_KEY, PAIR_KEY = ["user_id", "as_of"], ["user_id", "item_id", "as_of"]


CLICKED = (pl.col("click_ts").dt.date() == pl.col("ds")).sum().alias("clicked")


def user_item_days(events: pl.LazyFrame) -> pl.LazyFrame:
    """One user, item and day."""
    us = pl.col("event_ts").dt.epoch("us")
    money = pl.col("value").filter(pl.col("event_type").is_in(["purchase", "refund"]))
    matched = pl.col("value").filter(
        (pl.col("event_type") == "purchase") | ((pl.col("event_type") == "refund") & pl.col("refund_of").is_not_null())
    )
    rows = (
        events.filter(pl.col("user_id").is_not_null())
        .with_columns(us=us, hour=pl.col("event_ts").dt.hour())
        .sort("user_id", "session_id", "ds", "us", "item_id", nulls_last=False)
        .with_columns(
            pause=pl.when(
                pl.col("session_id").is_not_null()
                & (pl.col("user_id") == pl.col("user_id").shift(-1))
                & (pl.col("session_id") == pl.col("session_id").shift(-1))
                & (pl.col("ds") == pl.col("ds").shift(-1))
            ).then((pl.col("us").shift(-1) - pl.col("us")) // 1000)
        )
        .with_columns(pause=pl.when(pl.col("pause") <= 1_800_000).then("pause"))
    )
    parts = {"night": 0, "morning": 6, "afternoon": 12, "evening": 18}
    counted = rows.group_by("user_id", "item_id", "ds").agg(
        *((pl.col("event_type") == kind).sum().alias(f"num_{plural}") for kind, plural in KINDS.items()),
        *(pl.col("hour").is_between(h, h + 5).sum().alias(f"num_{part}") for part, h in parts.items()),
        money.sum().alias("value"),
        matched.sum().alias("value_matched"),
        pl.col("pause").sum().alias("dwell_ms"),
        pl.col("pause").count().alias("num_dwells"),
        pl.col("us").min().alias("first_us"),
        pl.col("us").max().alias("last_us"),
    )
    item_events = pl.sum_horizontal(f"num_{plural}" for kind, plural in KINDS.items() if kind != "search")
    others = pl.col("item_id").count().over("user_id", "ds").cast(pl.Int64) - 1
    return counted.with_columns(
        num_item_events=item_events.cast(pl.Int64),
        num_others=pl.when(pl.col("item_id").is_not_null()).then(others).otherwise(0),
    )


def dated(days: pl.LazyFrame, cutoffs: list[dt.date], max_age: int = 10**6) -> pl.LazyFrame:
    """Each daily row for each date after it."""
    return pl.concat(
        days.filter(pl.col("ds") < date)
        .with_columns(as_of=pl.lit(date), age=(pl.lit(date) - pl.col("ds")).dt.total_days())
        .filter(pl.col("age") <= max_age)
        for date in cutoffs
    )


def windows(names: dict[str, str]) -> list[pl.Expr]:
    """Sums over the last days."""
    return [
        pl.col(column).filter(pl.col("age") <= d).sum().alias(f"{name}_{d}d")
        for name, column in names.items()
        for d in DAYS
    ]


def decays() -> list[pl.Expr]:
    """Counts halved with age."""
    return [
        (pl.col(name) * pl.lit(0.5).pow(pl.col("age") / days)).sum().alias(f"{name}_decayed_{days}d")
        for name, days in (("num_events", 7), ("num_events", 30), ("num_purchases", 30))
    ]


def ages() -> list[pl.Expr]:
    """Days since the last and the first action."""
    start = pl.col("as_of").cast(pl.Datetime("us")).dt.epoch("us")
    return [
        ((start - pl.col("last_us")).min() / 8.64e10).alias("days_since_last"),
        ((start - pl.col("first_us")).max() / 8.64e10).alias("days_since_first"),
    ]


def over(top: str | pl.Expr, bottom: str) -> pl.Expr:
    """A ratio; null where there is nothing to divide by."""
    above = pl.col(top) if isinstance(top, str) else top
    return pl.when(pl.col(bottom) > 0).then(above / pl.col(bottom))


def rate(top: str, bottom: str, overall: str, given: str) -> pl.Expr:
    """A rate smoothed towards the overall one."""
    return pl.when(pl.col(given) > 0).then((pl.col(top) + 20 * pl.col(overall)) / (pl.col(bottom) + 20))


def user_features(
    u: pl.LazyFrame, it: pl.LazyFrame, firsts: pl.LazyFrame, t: dict[str, pl.LazyFrame], best: pl.LazyFrame,
    cutoffs: list[dt.date],
) -> pl.LazyFrame:  # fmt: skip
    """One user and date."""
    num = pl.col("num_item_events") + pl.col("num_searches")
    acted = u.join(it, on="item_id", how="left").select(
        "user_id", "ds", "num_purchases", "num_refunds", "num_night", "num_morning", "num_afternoon", "num_evening",
        "value", "value_matched", "dwell_ms", "num_dwells", "first_us", "last_us",
        num.alias("num_events"), (pl.col("num_clicks") + pl.col("num_views")).alias("num_clicks"),
        (num * pl.col("price")).alias("price_sum"), num.filter(True).alias("_n"),
        pl.when(pl.col("price").is_not_null()).then(num).alias("price_num"),
        (num * pl.col("log_price")).alias("log_sum"), (num * pl.col("log_price") ** 2).alias("log_squares"),
        pl.when(pl.col("log_price").is_not_null()).then(num).alias("log_num"),
    ).drop("_n")  # fmt: skip
    sessions = t["events"].filter(pl.col("user_id").is_not_null() & pl.col("session_id").is_not_null())
    starts = sessions.group_by("user_id", "session_id").agg(pl.col("ds").min())
    shows = t["impressions"].filter(pl.col("user_id").is_not_null())
    parts = [
        acted,
        firsts.group_by("user_id", "ds").agg(pl.len().cast(pl.Int64).alias("new_items")),
        starts.group_by("user_id", "ds").agg(pl.len().cast(pl.Int64).alias("new_sessions")),
        shows.group_by("user_id", "ds").agg(pl.len().cast(pl.Int64).alias("shown"), CLICKED),
    ]
    days = summed("user_id", parts)
    d = dated(days, cutoffs).with_columns(dow=pl.col("ds").dt.weekday())
    overall = d.group_by("as_of").agg(
        o_click=pl.col("clicked").sum() / pl.col("shown").sum(),
        o_conv=pl.col("num_purchases").sum() / pl.col("num_clicks").sum(),
        o_refund=pl.col("num_refunds").sum() / pl.col("num_purchases").sum(),
    )
    kept = (
        "num_purchases", "num_clicks", "clicked", "shown", "num_refunds", "price_sum", "price_num", "log_sum",
        "log_squares", "log_num", "dwell_ms", "num_dwells", "num_night", "num_morning", "num_afternoon", "num_evening",
    )  # fmt: skip
    s = d.group_by(USER_KEY).agg(
        *ages(), *windows({"num_events": "num_events", "num_purchases": "num_purchases", "value": "value_matched"}),
        *decays(), *(pl.col(name).sum() for name in kept),
        pl.col("age").filter(pl.col("num_purchases") > 0).min().alias("days_since_purchase"),
        *(((pl.col("age") <= n) & (pl.col("num_events") > 0)).sum().alias(f"num_active_days_{n}d") for n in DAYS[1:]),
        pl.col("value").sum().alias("value_total"), pl.col("new_items").sum().alias("num_items"),
        pl.col("new_sessions").sum().alias("num_sessions"), pl.col("num_events").sum().alias("num_actions"),
        pl.col("num_events").filter(pl.col("dow") >= 6).sum().alias("weekend"),
        *(pl.col("num_events").filter(pl.col("dow") == n).sum().alias(f"dow_{n}") for n in range(1, 8)),
    ).filter(pl.col("num_actions") > 0)  # fmt: skip
    mean = over("log_sum", "log_num")
    variance = over("log_squares", "log_num") - mean**2
    return (
        s.join(overall, on="as_of", how="left")
        .join(best, on=USER_KEY, how="left")
        .with_columns(
            mean_price=over("price_sum", "price_num"),
            category_share=pl.col("category_top") / pl.col("category_worth"),
            brand_share=pl.col("brand_top") / pl.col("brand_worth"),
            num_categories=pl.col("num_categories").fill_null(0),
            click_rate=rate("clicked", "shown", "o_click", "shown"),
            conversion_rate=rate("num_purchases", "num_clicks", "o_conv", "num_actions"),
            refund_rate=rate("num_refunds", "num_purchases", "o_refund", "num_purchases"),
            mean_log_price=mean,
            price_spread=pl.when(pl.col("log_num") > 0).then(
                pl.when(variance >= 1e-8).then(variance.sqrt()).otherwise(0)
            ),
            share_weekend=over("weekend", "num_actions"),
            top_weekday=pl.concat_list(f"dow_{n}" for n in range(1, 8)).list.arg_max() + 1,
            mean_dwell_seconds=over(pl.col("dwell_ms") / 1000, "num_dwells"),
            actions_per_session=over("num_actions", "num_sessions"),
            **{f"share_{p}": over(f"num_{p}", "num_actions") for p in ("night", "morning", "afternoon", "evening")},
        )
    )


def item_features(
    u: pl.LazyFrame, it: pl.LazyFrame, firsts: pl.LazyFrame, t: dict[str, pl.LazyFrame], cutoffs: list[dt.date]
) -> pl.LazyFrame:
    """One item and date."""
    acted = u.filter(pl.col("item_id").is_not_null()).select(
        "item_id", "ds", "num_carts", "num_purchases", "num_refunds", "value_matched", "dwell_ms", "num_dwells",
        "num_others", "first_us", "last_us", pl.col("num_item_events").alias("num_events"),
        (pl.col("num_clicks") + pl.col("num_views")).alias("num_clicks"),
    )  # fmt: skip
    shows, reviews = (t[n].filter(pl.col("item_id").is_not_null()) for n in ("impressions", "reviews"))
    parts = [
        acted,
        firsts.group_by("item_id", "ds").agg(pl.len().cast(pl.Int64).alias("new_users")),
        shows.group_by("item_id", "ds").agg(pl.len().cast(pl.Int64).alias("shown"), CLICKED),
        reviews.group_by("item_id", "ds").agg(
            pl.len().cast(pl.Int64).alias("num_reviews"), pl.col("rating").count().cast(pl.Int64).alias("num_rated"),
            pl.col("rating").sum().alias("stars"),
        ),
    ]  # fmt: skip
    d = dated(summed("item_id", parts), cutoffs)
    overall = d.group_by("as_of").agg(
        o_click=pl.col("clicked").sum() / pl.col("shown").sum(),
        o_conv=pl.col("num_purchases").sum() / pl.col("num_clicks").sum(),
        o_cart=pl.col("num_carts").sum() / pl.col("num_clicks").sum(),
        o_refund=pl.col("num_refunds").sum() / pl.col("num_purchases").sum(),
        o_rating=pl.col("stars").sum() / pl.col("num_rated").sum(),
        o_events=pl.col("num_events").filter(pl.col("age") <= 30).sum(),
    )
    kept = (
        "num_purchases", "num_reviews", "num_clicks", "num_carts", "clicked", "shown", "num_refunds", "dwell_ms",
        "num_dwells", "stars", "num_rated",
    )  # fmt: skip
    late = [("num_covisits", "num_others"), ("num_reviews", "num_reviews")]
    s = d.group_by("item_id", "as_of").agg(
        *ages(), *windows({"num_events": "num_events", "num_purchases": "num_purchases", "value": "value_matched"}),
        *decays(), *(pl.col(name).sum() for name in kept), pl.col("new_users").sum().alias("num_users"),
        pl.col("num_events").sum().alias("actions"),
        *(pl.col(c).filter(pl.col("age") <= n).sum().alias(f"{name}_{n}d") for name, c in late for n in (30, 90)),
    )  # fmt: skip
    usual = pl.col("log_price").mean().over("category")
    ratio = pl.when(pl.col("category").is_not_null()).then(pl.col("log_price") - usual)
    catalogue = it.select("item_id", "price", ratio.alias("price_ratio")).join(
        pl.LazyFrame({"as_of": cutoffs}), how="cross"
    )
    blank = ("item_id", "as_of", "price", "price_ratio", "days_since_last", "days_since_first")
    joined = catalogue.join(s, on=["item_id", "as_of"], how="full", coalesce=True)
    thirty = (pl.col("num_events_30d") + 30 / 7) / 30
    return (
        joined.with_columns(pl.exclude(blank).fill_null(0))
        .join(overall, on="as_of", how="left")
        .with_columns(
            trend=(((pl.col("num_events_7d") + 1) / 7) / thirty).log(),
            click_rate=rate("clicked", "shown", "o_click", "shown"),
            conversion_rate=rate("num_purchases", "num_clicks", "o_conv", "actions"),
            cart_rate=rate("num_carts", "num_clicks", "o_cart", "actions"),
            refund_rate=rate("num_refunds", "num_purchases", "o_refund", "num_purchases"),
            mean_rating=over(pl.col("stars") + 5 * pl.col("o_rating"), "num_rated")
            * pl.col("num_rated") / (pl.col("num_rated") + 5),
            share_events_30d=over("num_events_30d", "o_events"),
            mean_dwell_seconds=over(pl.col("dwell_ms") / 1000, "num_dwells"),
        )
    )  # fmt: skip


def summed(key: str, parts: list[pl.LazyFrame]) -> pl.LazyFrame:
    """Daily rows of several sources added up."""
    rows = pl.concat(
        (part.with_columns(pl.selectors.unsigned_integer().cast(pl.Int64)) for part in parts), how="diagonal"
    )
    return rows.group_by(key, "ds").agg(
        pl.col("first_us").min(), pl.col("last_us").max(), pl.exclude(key, "ds", "first_us", "last_us").sum()
    )


def liked_before(u: pl.LazyFrame, it: pl.LazyFrame, worth: pl.Expr, cutoffs: list[dt.date]) -> pl.LazyFrame:
    """Worth of a user's actions by category and by brand."""
    acted = u.join(it, on="item_id").with_columns(worth=worth)
    both = pl.concat(
        acted.select("user_id", "ds", "worth", pl.lit(kind).alias("kind"), pl.col(kind).alias("like"))
        for kind in ("category", "brand")
    ).filter(pl.col("like").is_not_null() & (pl.col("worth") > 0))
    by_day = both.group_by("user_id", "ds", "kind", "like").agg(pl.col("worth").sum())
    return dated(by_day, cutoffs).group_by(*USER_KEY, "kind", "like").agg(pl.col("worth").sum())


def best_of(liked: pl.LazyFrame) -> pl.LazyFrame:
    """The best category and brand of each user."""
    own = {kind: liked.filter(pl.col("kind") == kind) for kind in ("category", "brand")}
    tops = [
        of.sort("worth", "like").group_by(USER_KEY).agg(
            pl.col("like").last().alias(f"top_{kind}"), pl.col("worth").last().alias(f"{kind}_top"),
            pl.col("worth").sum().alias(f"{kind}_worth"), pl.len().alias(f"num_{kind}"),
        )
        for kind, of in own.items()
    ]  # fmt: skip
    return tops[0].rename({"num_category": "num_categories"}).join(tops[1], on=USER_KEY, how="full", coalesce=True)


def pair_features(
    u: pl.LazyFrame, it: pl.LazyFrame, liked: pl.LazyFrame, best: pl.LazyFrame, users: pl.LazyFrame, worth: pl.Expr,
    cutoffs: list[dt.date],
) -> pl.LazyFrame:  # fmt: skip
    """One user, item and date."""
    acted = u.filter(pl.col("item_id").is_not_null()).with_columns(worth=worth)
    start = pl.col("as_of").cast(pl.Datetime("us")).dt.epoch("us")
    p = dated(acted, cutoffs, 90).group_by(PAIR_KEY).agg(
        *(pl.col("num_item_events").filter(pl.col("age") <= d).sum().alias(f"num_events_{d}d") for d in DAYS[1:]),
        pl.col("num_purchases").sum().alias("num_purchases_90d"), pl.len().alias("num_active_days_90d"),
        (pl.col("worth") * pl.lit(0.5).pow(pl.col("age") / 30)).sum().alias("weight_decayed_30d"),
        ((start - pl.col("last_us")).min() / 8.64e10).alias("days_since_last"),
        (pl.col("dwell_ms").sum() / 1000).alias("dwell_seconds"),
    )  # fmt: skip
    p = p.join(it, on="item_id", how="left").join(best, on=USER_KEY, how="left")
    p = p.join(users.select(*USER_KEY, "mean_log_price"), on=USER_KEY, how="left")
    for kind in ("category", "brand"):
        own = liked.filter(pl.col("kind") == kind).select(*USER_KEY, pl.col("like").alias(kind), own="worth")
        match = pl.when(pl.col(kind).is_not_null()).then(pl.col("own").fill_null(0.0) / pl.col(f"{kind}_worth"))
        p = p.join(own, on=[*USER_KEY, kind], how="left").with_columns(match.alias(f"{kind}_match")).drop("own")
    return p.with_columns(price_match=pl.col("log_price") - pl.col("mean_log_price"))


def compute(spec: dict[str, Any], out: Path) -> None:
    """Compute all feature tables and write each as Parquet; what is read more than once is collected once."""
    cutoffs = [dt.date.fromisoformat(date) for date in spec["cutoffs"]]
    t = {
        name: pl.scan_parquet(files, hive_partitioning=spec["by_day"][name], hive_schema={"ds": pl.Date} if spec["by_day"][name] else None)
        for name, files in spec["tables"].items()
    }  # fmt: skip
    category = pl.col("category").str.split(">").list.first().str.strip_chars(" ")
    it = t["items"].select(
        "item_id", pl.when(category != "").then(category).alias("category"), "brand", "price",
        pl.when(pl.col("price") > 0).then(pl.col("price").log()).alias("log_price"),
    ).collect().lazy()  # fmt: skip
    u = user_item_days(t["events"]).collect().lazy()
    firsts = u.filter(pl.col("item_id").is_not_null()).group_by("user_id", "item_id").agg(pl.col("ds").min())
    firsts = firsts.collect().lazy()
    worth = sum((pl.col(f"num_{KINDS[kind]}") * float(w) for kind, w in spec["weights"].items()), start=pl.lit(0.0))
    liked = liked_before(u, it, worth, cutoffs).collect().lazy()
    best = best_of(liked).collect().lazy()
    users = user_features(u, it, firsts, t, best, cutoffs).collect()
    tables = {
        "user_features": users.lazy(),
        "item_features": item_features(u, it, firsts, t, cutoffs),
        "user_item_features": pair_features(u, it, liked, best, users.lazy(), worth, cutoffs),
    }
    for name, frame in tables.items():
        frame.select(spec["columns"][name]).collect().write_parquet(out / f"{name}.parquet")


def main() -> None:
    """Repeat, and print the seconds of each time."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = Path(spec["out"]) / "polars"
    out.mkdir(parents=True, exist_ok=True)
    seconds = []
    for _ in range(spec["repetitions"]):
        began = time.perf_counter()
        compute(spec, out)
        seconds.append(round(time.perf_counter() - began, 3))
    print(json.dumps({"seconds": seconds, "version": pl.__version__}))


if __name__ == "__main__":
    main()
