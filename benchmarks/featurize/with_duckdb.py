"""The feature tables in hand-written DuckDB SQL: what bench_featurize.py measures Spark against.

Usage: python with_duckdb.py SPEC.json, as bench_featurize.py writes it. Prints the seconds of each repetition as JSON.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

USER_ITEM_DAYS = """
CREATE TEMP TABLE u AS
WITH e AS (
  SELECT user_id, item_id, session_id, event_type, ds, epoch_us(event_ts) AS us, epoch_us(event_ts) // 3600000000 % 24 AS h,
    CASE WHEN event_type IN ('purchase', 'refund') THEN value END AS money, refund_of
  FROM events WHERE user_id IS NOT NULL),
d AS (
  SELECT *, CASE WHEN session_id IS NOT NULL THEN
    (lead(us) OVER (PARTITION BY user_id, session_id, ds ORDER BY us, item_id NULLS FIRST) - us) // 1000 END AS pause
  FROM e),
g AS (
  SELECT user_id, item_id, ds,
    count(*) FILTER (event_type = 'search') AS num_searches, count(*) FILTER (event_type = 'click') AS num_clicks,
    count(*) FILTER (event_type = 'view') AS num_views, count(*) FILTER (event_type = 'cart') AS num_carts,
    count(*) FILTER (event_type = 'purchase') AS num_purchases, count(*) FILTER (event_type = 'refund') AS num_refunds,
    count(*) FILTER (h < 6) AS num_night, count(*) FILTER (h >= 6 AND h < 12) AS num_morning,
    count(*) FILTER (h >= 12 AND h < 18) AS num_afternoon, count(*) FILTER (h >= 18) AS num_evening,
    coalesce(sum(money), 0) AS value,
    coalesce(sum(money) FILTER (event_type = 'purchase' OR refund_of IS NOT NULL), 0) AS value_matched,
    coalesce(sum(pause) FILTER (pause <= 1800000), 0) AS dwell_ms, count(*) FILTER (pause <= 1800000) AS num_dwells,
    min(us) AS first_us, max(us) AS last_us
  FROM d GROUP BY ALL)
SELECT *, CASE WHEN item_id IS NOT NULL THEN count(item_id) OVER (PARTITION BY user_id, ds) - 1 ELSE 0 END AS num_others,
  num_clicks + num_views + num_carts + num_purchases + num_refunds AS num_item_events
FROM g;
CREATE TEMP TABLE firsts AS SELECT user_id, item_id, min(ds) AS ds FROM u WHERE item_id IS NOT NULL GROUP BY ALL;
CREATE TEMP TABLE it AS
SELECT item_id, nullif(trim(split_part(category, '>', 1)), '') AS category, brand, price,
  CASE WHEN price > 0 THEN ln(price) END AS log_price FROM items;
"""

USER_FEATURES = """
CREATE TEMP TABLE ud AS
WITH acted AS (
  SELECT u.* EXCLUDE (num_clicks), num_searches + num_item_events AS num_events, num_clicks + num_views AS num_clicks,
    price, log_price
  FROM u LEFT JOIN it USING (item_id)),
parts AS (
  SELECT user_id, ds, sum(num_events) AS num_events, sum(num_clicks) AS num_clicks, sum(num_purchases) AS num_purchases,
    sum(num_refunds) AS num_refunds, sum(num_night) AS night, sum(num_morning) AS morning,
    sum(num_afternoon) AS afternoon, sum(num_evening) AS evening, sum(value) AS value,
    sum(value_matched) AS value_matched, sum(dwell_ms) AS dwell_ms, sum(num_dwells) AS num_dwells,
    sum(num_events * price) AS price_sum, sum(num_events) FILTER (price IS NOT NULL) AS price_num,
    sum(num_events * log_price) AS log_sum, sum(num_events * log_price * log_price) AS log_squares,
    sum(num_events) FILTER (log_price IS NOT NULL) AS log_num, min(first_us) AS first_us, max(last_us) AS last_us
  FROM acted GROUP BY ALL
  UNION ALL BY NAME SELECT user_id, ds, count(*) AS new_items FROM firsts GROUP BY ALL
  UNION ALL BY NAME SELECT user_id, ds, count(*) AS new_sessions FROM (
    SELECT user_id, session_id, min(ds) AS ds FROM events WHERE user_id IS NOT NULL AND session_id IS NOT NULL GROUP BY ALL)
    GROUP BY ALL
  UNION ALL BY NAME SELECT user_id, ds, count(*) AS shown, count(*) FILTER (click_ts::DATE = ds) AS clicked FROM impressions
    WHERE user_id IS NOT NULL GROUP BY ALL)
SELECT user_id, ds, min(first_us) AS first_us, max(last_us) AS last_us,
  coalesce(sum(COLUMNS(* EXCLUDE (user_id, ds, first_us, last_us))), 0)
FROM parts GROUP BY user_id, ds;
CREATE TEMP TABLE udc AS
SELECT *, datediff('day', ds, as_of) AS age, isodow(ds) AS dow FROM ud JOIN cutoffs ON ds < as_of;
CREATE TEMP TABLE liked AS
WITH k AS (
  SELECT user_id, ds, {worth} AS worth, unnest([{{'kind': 'category', 'value': category}}, {{'kind': 'brand', 'value': brand}}], recursive := true)
  FROM u JOIN it USING (item_id))
SELECT user_id, as_of, kind, value, sum(worth) AS worth FROM k JOIN cutoffs ON ds < as_of
WHERE value IS NOT NULL AND worth > 0 GROUP BY ALL;
CREATE TEMP TABLE best AS
SELECT user_id, as_of, max({{'w': worth, 'v': value}}) FILTER (kind = 'category') AS c, sum(worth) FILTER (kind = 'category') AS category_worth,
  max({{'w': worth, 'v': value}}) FILTER (kind = 'brand') AS b, sum(worth) FILTER (kind = 'brand') AS brand_worth,
  count(*) FILTER (kind = 'category') AS num_categories
FROM liked GROUP BY ALL;
CREATE TEMP TABLE user_features AS
WITH o AS (
  SELECT as_of, sum(clicked) / nullif(sum(shown), 0) AS o_click, sum(num_purchases) / nullif(sum(num_clicks), 0) AS o_conv,
    sum(num_refunds) / nullif(sum(num_purchases), 0) AS o_refund FROM udc GROUP BY ALL),
s AS (
  SELECT user_id, as_of, (epoch_us(as_of) - max(last_us)) / 8.64e10 AS days_since_last,
    (epoch_us(as_of) - min(first_us)) / 8.64e10 AS days_since_first,
    min(age) FILTER (num_purchases > 0) AS days_since_purchase, {windows},
    count(*) FILTER (age <= 7 AND num_events > 0) AS num_active_days_7d,
    count(*) FILTER (age <= 30 AND num_events > 0) AS num_active_days_30d,
    count(*) FILTER (age <= 90 AND num_events > 0) AS num_active_days_90d,
    sum(num_events * pow(0.5, age / 7)) AS num_events_decayed_7d,
    sum(num_events * pow(0.5, age / 30)) AS num_events_decayed_30d,
    sum(num_purchases * pow(0.5, age / 30)) AS num_purchases_decayed_30d,
    sum(num_purchases) AS num_purchases, sum(value) AS value_total, sum(new_items) AS num_items,
    sum(new_sessions) AS num_sessions, sum(num_events) AS num_actions, sum(num_clicks) AS clicks,
    sum(clicked) AS clicked, sum(shown) AS shown, sum(num_refunds) AS refunds, sum(price_sum) AS price_sum,
    sum(price_num) AS price_num, sum(log_sum) AS log_sum, sum(log_squares) AS log_squares, sum(log_num) AS log_num,
    sum(dwell_ms) AS dwell_ms, sum(num_dwells) AS dwells, sum(night) AS night, sum(morning) AS morning,
    sum(afternoon) AS afternoon, sum(evening) AS evening,
    coalesce(sum(num_events) FILTER (dow >= 6), 0) AS weekend,
    [{weekdays}] AS by_weekday
  FROM udc GROUP BY user_id, as_of HAVING sum(num_events) > 0)
SELECT s.* EXCLUDE (clicks, clicked, shown, refunds, price_sum, price_num, log_sum, log_squares, log_num, dwell_ms, dwells, night, morning, afternoon, evening, weekend, by_weekday),
  price_sum / nullif(price_num, 0) AS mean_price, c.v AS top_category, c.w / category_worth AS category_share,
  CASE WHEN shown > 0 THEN (clicked + 20 * o_click) / (shown + 20) END AS click_rate,
  (num_purchases + 20 * o_conv) / (clicks + 20) AS conversion_rate,
  CASE WHEN num_purchases > 0 THEN (refunds + 20 * o_refund) / (num_purchases + 20) END AS refund_rate,
  log_sum / nullif(log_num, 0) AS mean_log_price,
  CASE WHEN log_num > 0 THEN CASE WHEN log_squares / log_num - pow(log_sum / log_num, 2) >= 1e-8
    THEN sqrt(log_squares / log_num - pow(log_sum / log_num, 2)) ELSE 0 END END AS price_spread,
  coalesce(num_categories, 0) AS num_categories, b.v AS top_brand, b.w / brand_worth AS brand_share,
  night / num_actions AS share_night, morning / num_actions AS share_morning,
  afternoon / num_actions AS share_afternoon, evening / num_actions AS share_evening,
  weekend / num_actions AS share_weekend, list_position(by_weekday, list_max(by_weekday)) AS top_weekday,
  dwell_ms / nullif(dwells, 0) / 1000 AS mean_dwell_seconds, num_actions / nullif(num_sessions, 0) AS actions_per_session
FROM s JOIN o USING (as_of) LEFT JOIN best USING (user_id, as_of);
"""

ITEM_FEATURES = """
CREATE TEMP TABLE idc AS
WITH parts AS (
  SELECT item_id, ds, sum(num_item_events) AS num_events, sum(num_clicks + num_views) AS num_clicks,
    sum(num_carts) AS num_carts, sum(num_purchases) AS num_purchases, sum(num_refunds) AS num_refunds,
    sum(value_matched) AS value_matched, sum(dwell_ms) AS dwell_ms, sum(num_dwells) AS num_dwells,
    sum(num_others) AS num_others, min(first_us) AS first_us, max(last_us) AS last_us
  FROM u WHERE item_id IS NOT NULL GROUP BY ALL
  UNION ALL BY NAME SELECT item_id, ds, count(*) AS new_users FROM firsts GROUP BY ALL
  UNION ALL BY NAME SELECT item_id, ds, count(*) AS shown, count(*) FILTER (click_ts::DATE = ds) AS clicked FROM impressions
    WHERE item_id IS NOT NULL GROUP BY ALL
  UNION ALL BY NAME SELECT item_id, ds, count(*) AS num_reviews, count(rating) AS num_rated, sum(rating) AS stars
    FROM reviews WHERE item_id IS NOT NULL GROUP BY ALL),
d AS (
  SELECT item_id, ds, min(first_us) AS first_us, max(last_us) AS last_us,
    coalesce(sum(COLUMNS(* EXCLUDE (item_id, ds, first_us, last_us))), 0)
  FROM parts GROUP BY item_id, ds)
SELECT *, datediff('day', ds, as_of) AS age FROM d JOIN cutoffs ON ds < as_of;
CREATE TEMP TABLE item_features AS
WITH o AS (
  SELECT as_of, sum(clicked) / nullif(sum(shown), 0) AS o_click, sum(num_purchases) / nullif(sum(num_clicks), 0) AS o_conv,
    sum(num_carts) / nullif(sum(num_clicks), 0) AS o_cart, sum(num_refunds) / nullif(sum(num_purchases), 0) AS o_refund,
    sum(stars) / nullif(sum(num_rated), 0) AS o_rating, sum(num_events) FILTER (age <= 30) AS o_events
  FROM idc GROUP BY ALL),
s AS (
  SELECT item_id, as_of, (epoch_us(as_of) - max(last_us)) / 8.64e10 AS days_since_last,
    (epoch_us(as_of) - min(first_us)) / 8.64e10 AS days_since_first, {windows},
    coalesce(sum(num_others) FILTER (age <= 30), 0) AS num_covisits_30d,
    coalesce(sum(num_others) FILTER (age <= 90), 0) AS num_covisits_90d,
    coalesce(sum(num_reviews) FILTER (age <= 30), 0) AS num_reviews_30d,
    coalesce(sum(num_reviews) FILTER (age <= 90), 0) AS num_reviews_90d,
    sum(num_events * pow(0.5, age / 7)) AS num_events_decayed_7d,
    sum(num_events * pow(0.5, age / 30)) AS num_events_decayed_30d,
    sum(num_purchases * pow(0.5, age / 30)) AS num_purchases_decayed_30d,
    sum(new_users) AS num_users, sum(num_purchases) AS num_purchases, sum(num_reviews) AS num_reviews,
    sum(num_events) AS actions, sum(num_clicks) AS clicks, sum(num_carts) AS carts, sum(clicked) AS clicked,
    sum(shown) AS shown, sum(num_refunds) AS refunds, sum(dwell_ms) AS dwell_ms, sum(num_dwells) AS dwells,
    sum(stars) AS stars, sum(num_rated) AS rated
  FROM idc GROUP BY item_id, as_of),
c AS (
  SELECT item_id, as_of, price, log_price - avg(log_price) OVER (PARTITION BY category, as_of) AS ratio, category
  FROM it CROSS JOIN cutoffs),
j AS (
  SELECT item_id, as_of, price, CASE WHEN category IS NOT NULL THEN ratio END AS price_ratio, days_since_last, days_since_first,
    coalesce(COLUMNS(s.* EXCLUDE (item_id, as_of, days_since_last, days_since_first)), 0)
  FROM c FULL JOIN s USING (item_id, as_of))
SELECT j.* EXCLUDE (actions, clicks, carts, clicked, shown, refunds, dwell_ms, dwells, stars, rated),
  ln(((num_events_7d + 1) / 7) / ((num_events_30d + 30 / 7) / 30)) AS trend,
  CASE WHEN shown > 0 THEN (clicked + 20 * o_click) / (shown + 20) END AS click_rate,
  CASE WHEN actions > 0 THEN (num_purchases + 20 * o_conv) / (clicks + 20) END AS conversion_rate,
  CASE WHEN actions > 0 THEN (carts + 20 * o_cart) / (clicks + 20) END AS cart_rate,
  CASE WHEN num_purchases > 0 THEN (refunds + 20 * o_refund) / (num_purchases + 20) END AS refund_rate,
  CASE WHEN rated > 0 THEN (stars + 5 * o_rating) / (rated + 5) END AS mean_rating,
  num_events_30d / nullif(o_events, 0) AS share_events_30d, dwell_ms / nullif(dwells, 0) / 1000 AS mean_dwell_seconds
FROM j LEFT JOIN o USING (as_of);
"""

PAIR_FEATURES = """
CREATE TEMP TABLE user_item_features AS
WITH p AS (
  SELECT user_id, item_id, as_of, coalesce(sum(num_item_events) FILTER (age <= 7), 0) AS num_events_7d,
    coalesce(sum(num_item_events) FILTER (age <= 30), 0) AS num_events_30d, sum(num_item_events) AS num_events_90d,
    sum(num_purchases) AS num_purchases_90d, count(*) AS num_active_days_90d,
    sum(worth * pow(0.5, age / 30)) AS weight_decayed_30d, (epoch_us(as_of) - max(last_us)) / 8.64e10 AS days_since_last,
    sum(dwell_ms) / 1000 AS dwell_seconds
  FROM (SELECT *, {worth} AS worth, datediff('day', ds, as_of) AS age FROM u JOIN cutoffs
        ON ds < as_of AND datediff('day', ds, as_of) <= 90 WHERE item_id IS NOT NULL)
  GROUP BY user_id, item_id, as_of)
SELECT p.*, CASE WHEN category IS NOT NULL THEN coalesce(lc.worth, 0) / category_worth END AS category_match,
  CASE WHEN brand IS NOT NULL THEN coalesce(lb.worth, 0) / brand_worth END AS brand_match,
  log_price - mean_log_price AS price_match
FROM p LEFT JOIN it USING (item_id) LEFT JOIN best USING (user_id, as_of)
LEFT JOIN (SELECT user_id, as_of, mean_log_price FROM user_features) USING (user_id, as_of)
LEFT JOIN liked lc ON lc.user_id = p.user_id AND lc.as_of = p.as_of AND lc.kind = 'category' AND lc.value = category
LEFT JOIN liked lb ON lb.user_id = p.user_id AND lb.as_of = p.as_of AND lb.kind = 'brand' AND lb.value = brand;
"""


def compute(spec: dict[str, Any], out: Path) -> None:
    """Compute all feature tables and write each as Parquet."""
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    for name, files in spec["tables"].items():
        db.execute(
            f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files!r}, hive_partitioning = {bool(spec['by_day'][name])},"
            f" hive_types_autocast = true)"
        )
    dates = ", ".join(f"(DATE '{date}')" for date in spec["cutoffs"])
    db.execute(f"CREATE TEMP TABLE cutoffs AS SELECT * FROM (VALUES {dates}) t(as_of)")
    plurals = {"search": "searches"}
    worth = " + ".join(f"{w}::DOUBLE * num_{plurals.get(kind, kind + 's')}" for kind, w in spec["weights"].items())
    user_windows = _windows({"num_events": (1, 7, 30, 90), "num_purchases": (1, 7, 30, 90), "value": (1, 7, 30, 90)})
    weekdays = ", ".join(f"coalesce(sum(num_events) FILTER (dow = {n}), 0)" for n in range(1, 8))
    db.execute(USER_ITEM_DAYS)
    db.execute(USER_FEATURES.format(worth=worth, windows=user_windows, weekdays=weekdays))
    db.execute(ITEM_FEATURES.format(windows=user_windows))
    db.execute(PAIR_FEATURES.format(worth=worth))
    for name in ("user_features", "item_features", "user_item_features"):
        db.execute(f"COPY {name} TO '{out / name}.parquet' (FORMAT parquet)")
    db.close()


def _windows(measures: dict[str, tuple[int, ...]]) -> str:
    source = {"value": "value_matched"}
    return ", ".join(
        f"coalesce(sum({source.get(name, name)}) FILTER (age <= {d}), 0) AS {name}_{d}d"
        for name, days in measures.items()
        for d in days
    )


def main() -> None:
    """Repeat, and print the seconds of each time."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = Path(spec["out"]) / "duckdb"
    out.mkdir(parents=True, exist_ok=True)
    seconds = []
    for _ in range(spec["repetitions"]):
        began = time.perf_counter()
        compute(spec, out)
        seconds.append(round(time.perf_counter() - began, 3))
    print(json.dumps({"seconds": seconds, "version": duckdb.__version__}))


if __name__ == "__main__":
    main()
