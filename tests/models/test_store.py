"""A user who loads a model gets exactly the files that were trained, or an error that names the file."""

from pathlib import Path

import pytest

from attune.errors import InputError
from attune.models.store import MANIFEST, ModelStore, read_card, verify


def _write(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"weights")
    (folder / "part").mkdir()
    (folder / "part" / "labels.json").write_text("[]")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(str(tmp_path))


def test_saved_model_is_sound_and_has_its_card(store: ModelStore) -> None:
    folder = store.save("sentiment", "v1", _write, {"metrics": {"accuracy": 0.9}})
    verify(folder)
    assert folder == store.folder("sentiment", "v1")
    assert read_card(folder) == {"task": "sentiment", "version": "v1", "metrics": {"accuracy": 0.9}}


def test_a_model_is_not_used_before_it_is_promoted(store: ModelStore) -> None:
    store.save("sentiment", "v1", _write, {})
    with pytest.raises(InputError, match="run the train job"):
        store.latest("sentiment")
    store.promote("sentiment", "v1")
    store.save("sentiment", "v2", _write, {})
    assert store.latest("sentiment").name == "v1"
    store.promote("sentiment", "v2")
    assert store.latest("sentiment").name == "v2"
    assert store.versions("sentiment") == ["v1", "v2"]


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda f: (f / "weights.bin").write_bytes(b"other"), "weights.bin has changed"),
        (lambda f: (f / "part" / "labels.json").unlink(), "part/labels.json is missing"),
        (lambda f: (f / "evil.py").write_text("x"), "evil.py was not stored"),
        (lambda f: (f / MANIFEST).unlink(), MANIFEST),
    ],
)
def test_a_changed_folder_is_refused(store: ModelStore, spoil, named: str) -> None:
    folder = store.save("sentiment", "v1", _write, {})
    store.promote("sentiment", "v1")
    spoil(folder)
    with pytest.raises(InputError, match=named):
        store.latest("sentiment")
    with pytest.raises(InputError, match=named):
        store.promote("sentiment", "v1")


def test_a_failed_save_leaves_nothing(store: ModelStore) -> None:
    def fail(folder: Path) -> None:
        _write(folder)
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        store.save("sentiment", "v1", fail, {})
    assert store.versions("sentiment") == []
    assert list((store.root / "sentiment").iterdir()) == []


def test_a_version_is_never_overwritten(store: ModelStore) -> None:
    folder = store.save("sentiment", "v1", _write, {})
    with pytest.raises(InputError, match="another name"):
        store.save("sentiment", "v1", lambda f: None, {})
    verify(folder)
