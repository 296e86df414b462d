"""Features of users and items, and labelled examples."""

import sys
from functools import reduce

from attune.features.examples import examples
from attune.features.items import item_features
from attune.features.users import user_features
from attune.run import Run, job


@job(reads=("events", "impressions", "items", "reviews"), writes=("user_features", "item_features", "examples"))
def featurize(run: Run) -> None:
    """Compute user and item features as of each cut-off date, and labelled examples split by time."""
    settings = run.settings
    events, impressions, items, reviews = map(run.read_or_empty, ("events", "impressions", "items", "reviews"))
    by_item = [item_features(items, events, impressions, reviews, date) for date in settings.cutoffs]
    frames = {"item_features": reduce(lambda a, b: a.unionByName(b), by_item)}
    if run.has("events"):
        weights = settings.recommend.event_weights
        by_user = [user_features(events, items, weights, date) for date in settings.cutoffs]
        frames["user_features"] = reduce(lambda a, b: a.unionByName(b), by_user)
        frames["examples"] = examples(
            events, impressions, weights, settings.valid_start, settings.test_start, settings.seed
        )
    else:
        run.skip("user_features, examples", "there are no events")
    run.write(frames)


if __name__ == "__main__":
    sys.exit(featurize.main())
