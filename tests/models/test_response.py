"""What is unknown of a row is said to be unknown, and the stored calibration is applied."""

from pathlib import Path

import pytest
import torch

from attune.errors import SettingsError
from attune.models.encoder import load_encoder
from attune.models.networks import read_network, write_network
from attune.models.response import ResponseModel
from models.tiny_bert import tiny_tokenizer, write_tiny_bert

IDS, MASK = (
    torch.tensor([[2, 7, 8, 3], [0, 0, 0, 0], [2, 9, 3, 0]]),
    torch.tensor([[1, 1, 1, 1], [0] * 4, [1, 1, 1, 0]]),
)
FEATURES = torch.tensor([[10.0, 5.0], [14.0, float("nan")], [float("nan"), 7.0]], dtype=torch.float64)


@pytest.fixture
def network(tmp_path: Path) -> ResponseModel:
    torch.manual_seed(0)
    found = ResponseModel(load_encoder(write_tiny_bert(tmp_path / "bert")), [12.0, 5.0], [2.0, 0.0], hidden=8)
    torch.nn.init.normal_(found.no_text)
    return found.eval()


def test_features_are_standardised_and_gaps_marked(network: ResponseModel) -> None:
    assert network._standardised(FEATURES).tolist() == [[-1, 0, 0, 0], [1, 0, 0, 1], [0, 2, 1, 0]]
    large = ResponseModel(network.encoder, [1.7e12], [1e3])
    assert large._standardised(torch.tensor([[1.7e12 + 500]], dtype=torch.float64)).tolist() == [[0.5, 0]]


def test_a_row_without_text_does_not_touch_the_others(network: ResponseModel) -> None:
    with torch.inference_mode():
        together = network(IDS, MASK, FEATURES)
        for row, length in enumerate((4, 0, 3)):
            alone = network(IDS[[row], :length], MASK[[row], :length], FEATURES[[row]])
            torch.testing.assert_close(alone, together[[row]])
        expected = network.head(torch.cat([network.no_text, torch.tensor([1.0, 0, 0, 1])]))
        torch.testing.assert_close(together[1:2], expected)
    assert together.isfinite().all()


def test_read_back_it_is_the_same_with_its_calibration(network: ResponseModel, tmp_path: Path) -> None:
    network.slope, network.intercept = 0.5, -1.25
    folder = tmp_path / "model"
    folder.mkdir()
    write_network(network, tiny_tokenizer(), 16, folder)
    again = read_network(folder)
    assert isinstance(again, ResponseModel)
    with torch.inference_mode():
        found = again.probabilities(IDS, MASK, FEATURES)
        torch.testing.assert_close(found, (0.5 * network(IDS, MASK, FEATURES) - 1.25).sigmoid())


def test_means_without_deviations_are_refused(network: ResponseModel) -> None:
    with pytest.raises(SettingsError, match="2 means"):
        ResponseModel(network.encoder, [1.0, 2.0], [1.0])
