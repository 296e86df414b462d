"""An encoder is taken into the workspace once, as safetensors alone, and gives each picture its vector."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ResNetConfig,
    ResNetModel,
    ViTForImageClassification,
    ViTModel,
)  # fmt: skip

from attune.errors import InputError, MissingError
from attune.models.image_encoder import ImageEncoder, load_image_encoder, store_image_encoder
from attune.models.store import ModelStore, verify
from models.tiny_bert import write_tiny_bert
from models.tiny_vit import picture, write_tiny_vit

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CPU = torch.device("cpu")


def load(folder: Path | str) -> ImageEncoder:
    return load_image_encoder(folder, CPU, "float32")


def pixels(image: object) -> torch.Tensor:
    """What the processor of the tiny ViT makes of a picture: 32 by 32, from -1 to 1."""
    small = np.asarray(image.resize((32, 32), 2), np.float32)  # type: ignore[attr-defined]
    return torch.from_numpy(small).permute(2, 0, 1)[None] / 127.5 - 1


def test_vectors_are_those_of_the_model_alone_and_have_length_1(tmp_path: Path) -> None:
    folder = write_tiny_vit(tmp_path)
    pictures = [picture("red"), picture("blue", size=(200, 20)), picture("red", 1)] * 12
    found = load(folder).encode(pictures)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    model = ViTModel.from_pretrained(folder).eval()
    for image, vector in zip(pictures[:3], found[:3], strict=True):
        with torch.inference_mode():
            token = model(pixels(image)).last_hidden_state[0, 0]
        np.testing.assert_allclose(vector, token / token.norm(), atol=1e-4)
    assert found[0] @ found[2] > found[0] @ found[1]


def test_a_trained_pooling_layer_is_used_and_a_missing_one_is_not(tmp_path: Path) -> None:
    folder = write_tiny_vit(tmp_path / "pooled", pooler=True)
    with torch.inference_mode():
        expected = ViTModel.from_pretrained(folder).eval()(pixels(picture("red"))).pooler_output[0]
    np.testing.assert_allclose(load(folder).encode([picture("red")])[0], expected / expected.norm(), atol=1e-4)
    classifier = tmp_path / "classifier"
    shutil.copytree(folder, classifier)
    (classifier / "model.safetensors").unlink()
    model = ViTForImageClassification(ViTModel.from_pretrained(folder).config)
    model.save_pretrained(classifier)
    first, second = (load(classifier).encode([picture("red")]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def write_clip(folder: Path, whole: bool) -> int:
    torch.manual_seed(0)
    vision = {**SIZES, "image_size": 32, "patch_size": 8}
    if whole:
        text = {**SIZES, "vocab_size": 50, "max_position_embeddings": 16}
        CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).save_pretrained(folder)
    else:
        CLIPVisionModel(CLIPVisionConfig(**vision)).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return 12 if whole else 16


def write_resnet(folder: Path) -> int:
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return 16


@pytest.mark.parametrize("write", [lambda f: write_clip(f, True), lambda f: write_clip(f, False), write_resnet])
def test_other_families_are_read(write: object, tmp_path: Path) -> None:
    width = write(tmp_path)  # type: ignore[operator]
    found = load(tmp_path).encode([picture("red"), picture("red", 1), picture("blue")])
    assert found.shape == (3, width)
    assert found[0] @ found[1] > found[0] @ found[2]


def test_an_encoder_is_stored_once_without_its_pickles(tmp_path: Path) -> None:
    folder = Path(write_tiny_vit(tmp_path / "vit"))
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    store = ModelStore(str(tmp_path / "workspace"))
    first = store_image_encoder(str(folder), store)
    assert not list(first.glob("*.bin"))
    verify(first)
    shutil.copytree(folder, tmp_path / "other name")
    assert store_image_encoder(str(tmp_path / "other name"), store) == first
    write_tiny_vit(folder, seed=1)
    assert store_image_encoder(str(folder), store).name != first.name
    assert len(store.versions("image_encoder")) == 2


def test_what_is_no_encoder_of_pictures_is_refused(tmp_path: Path) -> None:
    store = ModelStore(str(tmp_path / "workspace"))
    with pytest.raises(InputError, match=r"has no \*\.safetensors"):
        store_image_encoder(str(tmp_path), store)
    bert = write_tiny_bert(tmp_path / "bert")
    with pytest.raises(InputError, match="cannot be read as a model of pictures"):
        store_image_encoder(bert, store)
    assert store.versions("image_encoder") == [], "nothing is stored"


def test_a_hub_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingError, match=r"score\.image_encoder: 'nobody/none' is no local folder"):
        store_image_encoder("nobody/none", ModelStore(str(tmp_path)))


def test_half_a_model_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(write_tiny_vit(tmp_path))
    weights = load_file(folder / "model.safetensors")
    half = {name: value for name, value in weights.items() if "layer.1." not in name and "layers.1." not in name}
    assert len(half) < len(weights)
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="lacks weights, such as"):
        load(folder)
