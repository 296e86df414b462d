"""The next-item source says of each user what the stored network says of his items in order."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from attune.errors import InputError
from attune.models.item_sequence import CATALOGUE, ItemSequenceModel
from attune.models.networks import write_network
from attune.models.store import ModelStore
from attune.recommend.next_item import NextItemScores
from attune.recommend.reasons import Pair, reasons, removals
from attune.recommend.sources import NOT_PROPOSED, next_item
from recommend.tiny import BULB, LAMP, MUG, NOVELTY, STRANGER, batch, catalogue, damaged_copy

IN_THE_MODEL = ["mug", "gone", "lamp", "bulb"]
"""In the order of their numbers; the catalogue no longer has one, and the novelty came later."""
MUG_THEN_LAMP: dict[str, object] = {
    "items": [LAMP, MUG], "weights": [1.0, 1.0], "ages": [1.0, 0.5], "first_ages": [3.0, 9.0], "recent": [1, 1],
}  # fmt: skip


@pytest.fixture(scope="module")
def network() -> ItemSequenceModel:
    torch.manual_seed(4)
    found = ItemSequenceModel(num_items=4, width=8, layers=1, heads=2, max_positions=2)
    torch.nn.init.normal_(found.bias)
    return found.eval()


@pytest.fixture(scope="module")
def folder(network: ItemSequenceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def write(into: Path) -> None:
        write_network(network, None, 3, into)
        (into / CATALOGUE).write_text(json.dumps(IN_THE_MODEL))

    return ModelStore(str(tmp_path_factory.mktemp("workspace"))).save("next_item", "v1", write, {})


def expected(network: ItemSequenceModel, *numbers: int) -> dict[int, float]:
    """Log probabilities of lamp, bulb and mug after items of the model, alone in their batch."""
    ids = torch.tensor([numbers])
    with torch.inference_mode():
        logs = network.scores(network(ids, ids > 0)[0, -1]).log_softmax(0).tolist()
    return {LAMP: logs[3], BULB: logs[4], MUG: logs[1]}


def test_scores_are_the_networks_after_the_items_in_the_order_they_were_first_taken(
    folder: Path, network: ItemSequenceModel
) -> None:
    shop = catalogue()
    model = NextItemScores.of(folder, shop.item_ids)
    short: dict[str, object] = {"items": [BULB], "weights": [1.0], "ages": [1.0], "recent": [1]}
    long: dict[str, object] = {
        "items": [BULB, MUG, LAMP], "weights": [1.0] * 3, "ages": [1.0] * 3, "first_ages": [2.0, 1.0, 5.0], "recent": [1] * 3
    }  # fmt: skip
    scores = next_item(catalogue(next_item=model), batch(MUG_THEN_LAMP, STRANGER, short, long))
    for user, numbers in ((0, (1, 3)), (2, (4,)), (3, (4, 1))):
        for item, value in expected(network, *numbers).items():
            assert scores[user, item] == pytest.approx(value, abs=1e-5), (user, item)
    assert (scores[1] == NOT_PROPOSED).all()
    assert (scores[:, NOVELTY] == NOT_PROPOSED).all()


def test_items_the_model_does_not_know_are_passed_over(folder: Path, network: ItemSequenceModel) -> None:
    model = NextItemScores.of(folder, catalogue().item_ids)
    new_one: dict[str, object] = {
        "items": [NOVELTY, MUG], "weights": [1.0] * 2, "ages": [1.0, 4.0], "recent": [1, 0]
    }  # fmt: skip
    only_new: dict[str, object] = {"items": [NOVELTY], "weights": [1.0], "ages": [1.0], "recent": [1]}
    scores = next_item(catalogue(next_item=model), batch(new_one, only_new))
    assert scores[0, BULB] == pytest.approx(expected(network, 1)[BULB], abs=1e-5)
    assert (scores[1] == NOT_PROPOSED).all()


def test_a_damaged_model_is_refused(folder: Path, tmp_path: Path) -> None:
    model = NextItemScores.of(damaged_copy(folder, tmp_path), catalogue().item_ids)
    with pytest.raises(InputError, match="has changed since it was stored"):
        next_item(catalogue(next_item=model), batch(MUG_THEN_LAMP))


def test_its_reason_names_what_the_user_took_last() -> None:
    shop, user = catalogue(), batch(MUG_THEN_LAMP)
    columns = ["next_item_score", "next_item_rank"]
    falls = removals(columns).all(axis=1).astype(float)
    assert falls.sum() == 1
    (told,) = reasons(Pair(shop, user, 0, BULB), falls)
    assert (told.text, told.items) == ("Often chosen after Brass lamp", (LAMP,))
    assert reasons(Pair(shop, user, 0, LAMP), falls) == []
    assert reasons(Pair(shop, batch(STRANGER), 0, BULB), np.asarray(falls)) == []
