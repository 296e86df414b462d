"""Implicit-feedback matrix factorisation by Spark MLlib's alternating least squares."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attune.config import AlsPoint
from attune.session import check_ml

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Factors:
    """Factors of users and items. Columns of both: id (int index), features (array<float> of length rank)."""

    users: "DataFrame"
    items: "DataFrame"
    model: object  # which Spark Connect frees on the server, its factors with it, as soon as nothing here refers to it


def fit_factors(weights: "DataFrame", point: AlsPoint, iterations: int, blocks: int, seed: int) -> Factors:
    """Factorise weighted actions: confidence 1 + alpha * weight (Hu, Koren and Volinsky 2008, doi:10.1109/ICDM.2008.22).

    Args:
        weights: columns user (int index), item (int index), weight.
        blocks: parts of the users, and of the items, that are solved in parallel.
    """
    from pyspark.ml.recommendation import ALS

    check_ml(weights)
    als = ALS(
        userCol="user", itemCol="item", ratingCol="weight", implicitPrefs=True,
        rank=point.rank, regParam=point.reg, alpha=point.alpha, maxIter=iterations, seed=seed,
        numUserBlocks=blocks, numItemBlocks=blocks,
    )  # fmt: skip
    model = als.fit(weights)
    return Factors(model.userFactors, model.itemFactors, model)
