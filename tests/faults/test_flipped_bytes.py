"""A model with a single wrong byte is refused before anything in it is loaded, and no model is ever unpickled."""

import json
import pickle
import random
from pathlib import Path

import pytest
import torch

from attune.errors import InputError
from attune.models.encoder import load_encoder
from attune.models.networks import TOKENIZER, WEIGHTS, TextClassifier, read_network, write_network
from attune.models.store import CARD, MANIFEST, ModelStore, verify
from models.tiny_bert import tiny_tokenizer, write_tiny_bert

SEED = 11
NUM_FLIPS = 1000
FILES = (WEIGHTS, TOKENIZER, "network.json", "config.json", CARD, MANIFEST)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored model."""
    scratch = tmp_path_factory.mktemp("flipped")
    network = TextClassifier(load_encoder(write_tiny_bert(scratch / "encoder"), 0.1), ["negative", "positive"])
    store = ModelStore(str(scratch / "workspace"))
    saved = store.save("sentiment", "v1", lambda hidden: write_network(network, tiny_tokenizer(), 64, hidden), {})
    store.promote("sentiment", "v1")
    return saved


def load_after_verify(folder: Path) -> torch.nn.Module:
    """What every reader of a model does."""
    verify(folder)
    return read_network(folder)


def test_every_flipped_byte_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand random bytes: one that got through would be a model that answers wrongly, or a parser's traceback."""
    load_after_verify(folder)
    monkeypatch.setattr("attune.models.networks.encoder_from_config", _never)
    rng, refused = random.Random(SEED), dict.fromkeys(FILES, 0)
    print(f"seed {SEED}")
    for number in range(NUM_FLIPS):
        name = FILES[number % len(FILES)]
        file = folder / name
        content = bytearray(file.read_bytes())
        place = rng.randrange(len(content))
        right = content[place]
        content[place] ^= rng.randrange(1, 256)
        file.write_bytes(content)
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            load_after_verify(folder)
        refused[name] += 1
        content[place] = right
        file.write_bytes(content)
    assert sum(refused.values()) == NUM_FLIPS
    verify(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{}", b'{"files": []}', b'{"files": {"a": 1}}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "null", "list", "object", "files-list", "unsigned", "not-utf8", "deep"],
)
def test_a_manifest_of_another_shape_is_refused(folder: Path, content: bytes) -> None:
    kept = (folder / MANIFEST).read_bytes()
    try:
        (folder / MANIFEST).write_bytes(content)
        with pytest.raises(InputError, match="has changed"):
            verify(folder)
    finally:
        (folder / MANIFEST).write_bytes(kept)


@pytest.mark.parametrize("content", [b"v2", b"../sentiment/v1", b"\xff\xfe", b""])
def test_a_changed_pointer_to_the_latest_is_refused(folder: Path, content: bytes) -> None:
    store, pointer = ModelStore(str(folder.parents[2])), folder.parent / "latest"
    assert store.latest("sentiment") == folder
    kept = pointer.read_bytes()
    try:
        pointer.write_bytes(content)
        with pytest.raises(InputError, match="latest names the version"):
            store.latest("sentiment")
    finally:
        pointer.write_bytes(kept)


def test_reading_a_model_unpickles_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle runs whatever program it holds when it is read."""
    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, _never)
    with pytest.raises(AssertionError, match="called"):
        pickle.loads(b"")
    assert load_after_verify(folder) is not None


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pkl", "weights.pt", "part/model.joblib"])
@pytest.mark.parametrize("listed", [False, True], ids=["planted", "in-the-manifest"])
def test_a_pickle_in_the_folder_is_refused(folder: Path, tmp_path: Path, name: str, listed: bool) -> None:
    def with_pickle(hidden: Path) -> None:
        for source in folder.iterdir():
            if source.name not in (CARD, MANIFEST):
                (hidden / source.name).write_bytes(source.read_bytes())
        if listed:
            plant(hidden)

    def plant(target: Path) -> None:
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_bytes(pickle.dumps({"weights": [1.0]}))

    stored = ModelStore(str(tmp_path)).save("sentiment", "v2", with_pickle, {})
    if not listed:
        load_after_verify(stored)
        plant(stored)
    assert (name in json.loads((stored / MANIFEST).read_text())["files"]) == listed
    with pytest.raises(InputError, match="is a pickle"):
        load_after_verify(stored)


def _never(*args: object, **kwargs: object) -> object:
    raise AssertionError("called")
