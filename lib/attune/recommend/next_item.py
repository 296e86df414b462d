"""The stored next-item model as a source: which item of the catalogue a user takes next, after those he took."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attune.recommend.catalogue import Floats

if TYPE_CHECKING:
    from attune.models.item_sequence import ItemSequenceModel

_USERS_AT_A_TIME = 256

# Shape legend: B users of a block, N items of the catalogue, T items of a sequence, M items that the model knows.


@dataclass(frozen=True)
class NextItemScores:
    """A stored model and where the catalogue's items are in it; the weights are read where they are used, once a worker."""

    folder: str
    numbers: NDArray[np.int64]  # [N]; number of the item in the model, from 1; 0 where the model does not know it

    @classmethod
    def of(cls, folder: Path, item_ids: Sequence[str] | NDArray[np.object_]) -> "NextItemScores":
        """The model of a verified folder for a catalogue."""
        from attune.models.item_sequence import CATALOGUE

        known = {item: number for number, item in enumerate(json.loads((folder / CATALOGUE).read_text("utf-8")), 1)}
        return cls(str(folder), np.array([known.get(item, 0) for item in item_ids], np.int64))

    def log_probabilities(self, first_ages: sparse.csr_matrix) -> Floats:
        """Log probability that an item is the next that the user takes for the first time [B, N].

        Minus infinity for items that the model does not know, and for users none of whose items it knows.

        Args:
            first_ages: days since the user first acted on the item [B, N]; at an equal age items stand in their own order.
        """
        import torch

        network = _network(self.folder)
        found = np.full(first_ages.shape, -np.inf, np.float32)
        sequences = [self._sequence(first_ages, user, network.max_positions) for user in range(first_ages.shape[0])]
        lengths = np.array([len(sequence) for sequence in sequences], np.int64)
        known = np.flatnonzero(self.numbers)
        users = np.flatnonzero(lengths)
        for start in range(0, len(users), _USERS_AT_A_TIME):
            some = users[start : start + _USERS_AT_A_TIME]
            ids = torch.zeros((len(some), int(lengths[some].max())), dtype=torch.long)
            for row, user in enumerate(some):
                ids[row, : lengths[user]] = torch.from_numpy(sequences[user])
            with torch.inference_mode():
                states = network(ids, ids > 0)[torch.arange(len(some)), torch.from_numpy(lengths[some] - 1)]
                logs = network.scores(states).log_softmax(dim=1).numpy()
            found[np.ix_(some, known)] = logs[:, self.numbers[known]]
        return found

    def _sequence(self, first_ages: sparse.csr_matrix, user: int, longest: int) -> NDArray[np.int64]:
        """Numbers of the latest items of a user that the model knows, in the order in which he took them [T]."""
        own = slice(first_ages.indptr[user], first_ages.indptr[user + 1])
        items, ages = first_ages.indices[own], first_ages.data[own]
        numbers = self.numbers[items[np.lexsort((items, -ages))]]
        return numbers[numbers > 0][-longest:]


@lru_cache(maxsize=1)
def _network(folder: str) -> "ItemSequenceModel":
    """The network of a stored model, after its files have been verified."""
    import torch

    from attune.models.item_sequence import ItemSequenceModel
    from attune.models.networks import read_network
    from attune.models.store import verify

    torch.set_num_threads(1)  # a worker has one core
    verify(folder)
    network = read_network(Path(folder)).eval()
    assert isinstance(network, ItemSequenceModel)
    return network
