"""The k items with the highest inner product for every vector of a table: exact, or approximate with a measured recall.

faiss searches (Douze et al. 2024, arXiv 2401.08281). Each task holds the items once and takes its rows in blocks, so memory
does not grow with the table. Q queries of a block, N items, D width of the vectors.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attune.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_BLOCK = 4096
"""Queries searched at a time; faiss multiplies that many with 1,024 items: 16 MB."""
_VECTORS_PER_LIST = 64
"""k-means learns each list's centre from up to so many items; more make no better lists."""


@dataclass(frozen=True)
class Index:
    """Items to search, as they travel to the workers."""

    data: NDArray[np.uint8]  # as faiss writes an index
    width: int
    num_items: int
    recall: float  # share of the true k items that are found; measured, 1 where the search is exact

    def open(self) -> Any:
        """The index, searched by one thread: a worker has one core."""
        import faiss

        faiss.omp_set_num_threads(1)
        return faiss.deserialize_index(self.data)


def exact_index(items: NDArray[np.float32]) -> Index:
    """All items [N, D], each compared with every query."""
    import faiss

    index = faiss.IndexFlatIP(items.shape[1])
    index.add(np.ascontiguousarray(items, np.float32))
    return Index(faiss.serialize_index(index), items.shape[1], len(items), 1.0)


def approximate_index(
    items: NDArray[np.float32], queries: NDArray[np.float32], k: int, min_recall: float = 0.95
) -> Index:
    """Items [N, D] in lists around centres, of which as few are searched as find enough of what an exact search finds.

    ``queries`` [Q, D] are a sample of those to come; recall is measured on them. Pays from some ten thousand items on.
    """
    import faiss

    items = np.ascontiguousarray(items, np.float32)
    queries = np.ascontiguousarray(queries, np.float32)
    num_lists = max(1, int(4 * np.sqrt(len(items))))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(items.shape[1]), items.shape[1], num_lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = _VECTORS_PER_LIST
    index.cp.min_points_per_centroid = 1
    index.train(items)
    index.add(items)
    exact = faiss.IndexFlatIP(items.shape[1])
    exact.add(items)
    wanted = exact.search(queries, min(k, len(items)))[1]
    index.nprobe, recall = 1, 0.0
    while True:
        recall = _recall(index.search(queries, wanted.shape[1])[1], wanted)
        if recall >= min_recall or index.nprobe >= num_lists:
            return Index(faiss.serialize_index(index), items.shape[1], len(items), recall)
        index.nprobe = min(2 * index.nprobe, num_lists)


def nearest(queries: "DataFrame", index: Index, k: int, key: str = "id", vector: str = "features") -> "DataFrame":
    """Columns ``key``, ``items`` (positions in the index, best first) and ``scores`` (inner products). Grain: as queries.

    A row without a vector gets no items. Raises InputError for columns that are not there and, when the frame is computed, for a
    vector of another width.
    """
    kinds = dict(queries.dtypes)
    if missing := [name for name in (key, vector) if name not in kinds]:
        raise InputError(
            f"queries have no column {' or '.join(missing)}: name theirs, of {', '.join(kinds)}, by key and vector"
        )
    kind = kinds[key]

    def run(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        opened = index.open()
        for batch in batches:
            for start in range(0, len(batch), _BLOCK):
                yield _search(opened, index, batch.slice(start, _BLOCK), k)

    return queries.select(key, vector).mapInArrow(run, f"{key} {kind}, items array<int>, scores array<float>")


def _search(opened: Any, index: Index, batch: "pa.RecordBatch", k: int) -> "pa.RecordBatch":
    import pyarrow as pa
    import pyarrow.compute as pc

    keys, vectors = batch.columns
    lengths = pc.list_value_length(vectors).fill_null(0).to_numpy(zero_copy_only=False)
    known = lengths > 0
    if (lengths[known] != index.width).any():
        raise InputError(
            f"column {batch.schema.names[1]} holds vectors of {set(lengths[known].tolist())} numbers, the items have "
            f"{index.width}: make both with the same model"
        )
    asked = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, index.width)
    width = min(k, index.num_items)
    scores, items = opened.search(np.ascontiguousarray(asked), width) if len(asked) else np.empty((2, 0, width))
    found = items >= 0  # the lists of an approximate search may hold fewer
    counts = np.zeros(len(batch), np.int32)
    counts[known] = found.sum(axis=1)
    ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
    lists = [
        pa.ListArray.from_arrays(ends, pa.array(values[found].astype(dtype)))
        for values, dtype in ((items, np.int32), (scores, np.float32))
    ]
    return pa.RecordBatch.from_arrays([keys, *lists], [batch.schema.names[0], "items", "scores"])


def _recall(found: NDArray[np.int64], wanted: NDArray[np.int64]) -> float:
    hits = [len(np.intersect1d(own, true)) for own, true in zip(found, wanted, strict=True)]
    return float(np.sum(hits) / max(1, wanted.size))
