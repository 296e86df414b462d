"""A model of one's own is applied to a table of texts: labels, pairs, and nothing twice."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

from attune import config
from attune.errors import InputError, SettingsError
from attune.models.causal_language import NOT_WRITTEN, CausalLanguageModel
from attune.models.encoder import load_encoder
from attune.models.fresh import Sizes, fresh_gpt2
from attune.models.network import Network
from attune.models.networks import TextClassifier, TextEmbedder, write_network
from attune.models.pair_scorer import PairScorer
from attune.models.store import ModelStore
from attune.models.tokens import TextEncoder
from attune.run import Run
from attune.scoring.engine import Outputs, Scorer
from attune.scoring.plan import scoring_of
from attune.scoring.tables import update_text_scores
from attune.scoring.texts import label_columns, score_texts
from attune.scoring.tokens import token_bytes
from models.tiny_bert import tiny_tokenizer, write_tiny_bert
from training.examples import review_texts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "text_id string, text string, other_text string, label string, weight double, split string"


@pytest.fixture
def encoder(tmp_path: Path) -> Any:
    torch.manual_seed(0)
    return load_encoder(write_tiny_bert(tmp_path / "bert"))


def separator() -> int:
    found = tiny_tokenizer().token_to_id("[SEP]")
    assert found is not None
    return int(found)


def store(network: Network, workspace: Path, name: str, version: str = "v1") -> str:
    models = ModelStore(str(workspace))
    folder = models.save(name, version, lambda hidden: write_network(network, tiny_tokenizer(), 16, hidden), {})
    models.promote(name, version)
    return str(folder)


def texts(spark: "SparkSession", rows: dict[str, tuple[str | None, str | None]]) -> "DataFrame":
    return spark.createDataFrame([(key, a, b, None, None, None) for key, (a, b) in rows.items()], SCHEMA)


def test_labels_are_the_likeliest_or_all_that_are_likely() -> None:
    values = np.array([[0.2, 0.8], [0.6, 0.55], [0.1, 0.3], [np.nan, np.nan]], np.float32)
    outputs = Outputs(values, np.array(["scored"] * 3 + ["empty"], object))
    one = label_columns(outputs, ["a", "b"], several=False)
    assert one["label"].tolist() == ["b", "a", "b", None]
    np.testing.assert_allclose(one["probability"], [0.8, 0.6, 0.3, np.nan], rtol=1e-6)
    many = label_columns(outputs, ["a", "b"], several=True)
    assert many["label"].tolist() == ["b", "a|b", None, None]
    pairs = label_columns(Outputs(values[:, :1], outputs.status), [], several=False)
    assert pairs["label"].tolist() == [None] * 4
    assert pairs["status"].tolist() == ["scored"] * 3 + ["empty"]


def test_pairs_are_read_together_and_equal_ones_once(encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(PairScorer(encoder, separator()), 64, "float32", torch.device("cpu"))
    firsts, seconds = (
        pd.Series(["red mug", "red mug", "lamp", " red mug", None]),
        pd.Series(["blue cup", "lamp", "red mug", "blue cup ", "lamp"]),
    )
    text_encoder = TextEncoder(tiny_tokenizer(), 16)
    found = scorer.score(token_bytes(text_encoder, firsts, seconds))
    assert found.status.tolist() == ["scored"] * 4 + ["empty"]
    assert found.values[0] == found.values[3]
    assert len({float(value) for value in found.values[:3, 0]}) == 3, "the order of a pair counts"
    seen = []
    real = TextEncoder.encode_pairs
    monkeypatch.setattr(TextEncoder, "encode_pairs", lambda self, a, b: seen.append((a, b)) or real(self, a, b))
    token_bytes(text_encoder, firsts, seconds)
    assert [sorted(side) for side in seen[0]] == [["lamp", "red mug", "red mug"], ["blue cup", "lamp", "red mug"]]


def test_pairs_are_scored_on_spark(spark: "SparkSession", encoder: Any, tmp_path: Path) -> None:
    settings = config.load([], ["score.precision=float32"], "2026-03-01")
    folder = store(PairScorer(encoder, separator()), tmp_path, "match")
    rows = {"p": ("red mug", "blue cup"), "q": ("red mug", None), "r": ("red mug", "lamp")}
    found = score_texts(texts(spark, rows), folder, "match", settings).toPandas().set_index("text_id")
    assert found["status"].to_dict() == {"p": "scored", "q": "empty", "r": "scored"}
    assert found["label"].isna().all()
    assert found.loc["p", "probability"] != found.loc["r", "probability"]


def test_a_network_without_labels_is_refused(spark: "SparkSession", encoder: Any, tmp_path: Path) -> None:
    settings = config.load([], [], "2026-03-01")
    with pytest.raises(InputError, match="gives no labels and writes no text: it is of kind embedder"):
        score_texts(texts(spark, {"p": ("a", None)}), store(TextEmbedder(encoder), tmp_path, "t"), "t", settings)


def test_a_language_model_writes_what_follows(spark: "SparkSession", tmp_path: Path) -> None:
    network = writer()
    torch.nn.init.normal_(network.model.transformer.wte.weight)
    settings = config.load([], ["score.precision=float32", "score.max_new_tokens=5"], "2026-03-01")
    rows = {"p": ("red mug", None), "q": (None, None), "r": ("red mug", None), "s": ("qqq", None)}
    folder = store(network, tmp_path, "copy")
    found = score_texts(texts(spark, rows), folder, "copy", settings).toPandas().set_index("text_id")
    assert found["status"].to_dict() == {"p": "scored", "q": "empty", "r": "scored", "s": "invalid"}
    ids = torch.tensor([TextEncoder(tiny_tokenizer(), 16).encode(["red mug"])[0].tolist()])
    with torch.inference_mode():
        written = network.for_texts(5).predict(ids, torch.ones_like(ids))[0]
    expected = tiny_tokenizer().decode([int(token) for token in written if token != NOT_WRITTEN])
    assert expected
    assert found.loc[["p", "r"], "written"].tolist() == [expected] * 2
    assert found.loc[["q", "s"], "written"].tolist() == [None, None]
    assert found["label"].isna().all()


def writer() -> CausalLanguageModel:
    torch.manual_seed(1)
    vocabulary = tiny_tokenizer().get_vocab_size()
    return CausalLanguageModel(fresh_gpt2(Sizes(1, 16, 2, vocabulary, 32), 0.0, separator())).eval()


def test_int8_of_a_model_without_an_encoder_is_refused_before_any_task_starts(tmp_path: Path) -> None:
    folder = store(writer(), tmp_path, "copy")
    settings = config.load([], ["score.precision=int8"], "2026-03-01")
    with pytest.raises(
        SettingsError, match=r"score\.precision int8 is for networks on an encoder.*causal_language: set auto"
    ):
        scoring_of(folder, settings)


def test_batches_leave_room_for_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else many short prompts would grow far beyond the budget."""
    network = writer().for_texts(5)
    sizes: list[int] = []
    monkeypatch.setattr(
        network, "predict", lambda ids, mask: sizes.append(len(ids)) or torch.zeros(len(ids), 5), raising=False
    )
    texts = pd.Series([f"{a} {b}" for a in ("red", "blue", "green") for b in ("mug", "lamp")])  # four tokens each
    Scorer(network, 20, "float32", torch.device("cpu")).score(token_bytes(TextEncoder(tiny_tokenizer(), 16), texts))
    assert sizes == [2, 2, 2]


def test_gpus_for_a_stage_are_refused_where_spark_has_none(spark: "SparkSession", encoder: Any, tmp_path: Path) -> None:
    settings = config.load([], ["score.gpus_per_task=1"], "2026-03-01")
    folder = store(TextClassifier(encoder, ["bad", "good"]), tmp_path, "taste")
    with pytest.raises(SettingsError, match=r"score\.gpus_per_task: executors have no GPUs .*: set it to null"):
        score_texts(texts(spark, {"p": ("red mug", None)}), folder, "taste", settings)


def test_texts_that_stay_the_same_are_not_scored_again(
    spark: "SparkSession", encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anything where neither texts nor model have changed; a new model scores all of them."""
    workspace = tmp_path / "workspace"
    settings = config.load(
        [], [f"workspace={workspace}", "score.precision=float32", "score.texts=[taste]"], "2026-03-01"
    )
    labels = ["bad", "good"]
    store(TextClassifier(encoder, labels), workspace, "taste")
    sentences, _ = review_texts(6)
    rows: dict[str, tuple[str | None, str | None]] = {f"t{n}": (text, None) for n, text in enumerate(sentences)}

    def scores(given: dict[str, tuple[str | None, str | None]], model: str) -> tuple[int, pd.DataFrame]:
        run = Run(
            "score",
            settings,
            f"run-{dt.datetime.now(dt.UTC).timestamp()}",
            summary={"inputs": {}, "outputs": {}, "skipped": {}, "metrics": {}},
        )
        run.write({"texts": texts(spark, given)})
        update_text_scores(run)
        absent = settings.model_copy(update={"score": settings.score.model_copy(update={"texts": ["taste", "absent"]})})
        with pytest.raises(SettingsError, match=r"score\.texts names absent, but no model absent is in use: train it"):
            update_text_scores(replace(run, settings=absent))
        found = run.tables.read("text_scores").toPandas().sort_values("text_id", ignore_index=True)
        assert set(found["model_version"]) == {model}
        return run.summary["outputs"].get("text_scores", {}).get("version", -1), found

    first, before = scores(rows, "v1")
    assert len(before) == 6
    assert before["label"].isin(labels).all()
    # Whatever is scored from here on is told apart by its probability.
    import attune.scoring.texts as module

    real = module.label_columns
    monkeypatch.setattr(module, "label_columns", lambda *given: real(*given).assign(probability=2.0))
    second, after = scores({**rows, "t1": ("great mug", None), "t9": ("bad lamp", None)}, "v1")
    assert second == first + 1
    assert after.loc[after["probability"] == 2.0, "text_id"].tolist() == ["t1", "t9"]
    assert len(after) == 7
    pd.testing.assert_frame_equal(
        after[after["probability"] != 2.0].reset_index(drop=True),
        before[before["text_id"] != "t1"].reset_index(drop=True),
    )
    store(TextClassifier(encoder, labels), workspace, "taste", "v2")
    _, renewed = scores(rows, "v2")
    assert (renewed["probability"] == 2.0).all()
    assert len(renewed) == 6
