"""Settings: one typed model, layered from files and ``--set``; values and units stand in ``conf/base.yaml``."""

import datetime as dt
import hashlib
import re
import zoneinfo
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from attune.errors import SettingsError, nearest
from attune.schemas import EVENT_TYPES, TABLES
from attune.secrets import REFERENCE, found_in, is_reference, looks_like_key, names_secret

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

INPUT_NAMES = ("events", "reviews", "items", "users", "texts")
_FILE_FORMATS = ("json", "csv", "parquet", "orc", "text", "avro")
_NUMBERS = ("int", "bigint", "double")
_EXTRA_INPUT_COLUMNS = {"events": {"price", "propensity"}}
"""Columns of an input that land in another table than the one of its name (impressions)."""
_OWN_OPTIONS = {"mode", "columnnameofcorruptrecord", "ignorecorruptfiles", "ignoremissingfiles"}
"""Options of Spark's reader, in lower case, with which rows would be lost without a trace."""


class Settings(BaseModel):
    """Base of all groups of settings: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(Settings):
    """One source of rows: where it lies, how it is read, and how its columns become ours."""

    path: str | list[str] | None = None  # file, folder or glob; relative to inputs.root
    table: str | None = None  # catalog table, in place of path
    format: Literal["csv", "json", "parquet", "delta"] = "csv"
    options: dict[str, str] = {}  # of Spark's reader
    schema_: str | None = Field(default=None, alias="schema")  # DDL of the source's columns; csv and json need it
    columns: dict[str, str]  # our column -> Spark SQL expression over the source's columns
    refuse: dict[str, str] = {}  # reason -> Spark SQL condition; rows that meet it go to quarantine
    max_quarantine_share: Share | None = None  # in place of clean.max_quarantine_share
    time_zone: str = "UTC"  # IANA name; timestamps without a zone mean this one, and expressions are evaluated in it
    on_drift: Literal["refuse", "note"] = "refuse"  # what becomes of an input whose columns or values changed
    allow_unterminated: bool = False  # whether the last line of a csv or json file may have no end
    max_compression_ratio: Positive = 200  # files over 1 GiB that are compressed further are refused
    max_line_mb: Positive = 64  # MiB of the longest line of a csv or json file

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        zones = zoneinfo.available_timezones()
        if zone not in zones:
            raise ValueError(f"not an IANA time zone{nearest(zone, zones)}" if zone else "not an IANA time zone")
        return zone

    @field_validator("options")
    @classmethod
    def _losing_no_rows(cls, options: dict[str, str]) -> dict[str, str]:
        for key in options:
            if key.lower() in _OWN_OPTIONS:
                raise ValueError(f"{key} is not for the settings: reading keeps every row and every bad line")
        return options

    @field_validator("options", mode="before")
    @classmethod
    def _as_text(cls, options: Mapping[str, Any]) -> dict[str, str]:
        return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}

    @model_validator(mode="after")
    def _complete(self) -> "Input":
        if (self.path is None) == (self.table is None):
            raise ValueError("give exactly one of path and table")
        if self.path is not None and self.format in ("csv", "json") and self.schema_ is None:
            raise ValueError(f"format {self.format} needs a schema, such as 'user STRING, ts STRING'")
        return self


class Inputs(Settings):
    root: str | None
    events: Input | None
    reviews: Input | None
    items: Input | None
    users: Input | None
    texts: Input | None

    @model_validator(mode="after")
    def _known_columns(self) -> "Inputs":
        for name, source in self.declared().items():
            known = set(TABLES[name].names) - {"ds"} | _EXTRA_INPUT_COLUMNS.get(name, set())
            for column in source.columns:
                if column not in known:
                    raise ValueError(f"{name}.columns: {column!r} is not a column of {name}{nearest(column, known)}")
        return self

    def declared(self) -> dict[str, Input]:
        """Inputs that are given, by name."""
        found = {name: getattr(self, name) for name in INPUT_NAMES}
        return {name: source for name, source in found.items() if source is not None}


class Generate(Settings):
    enabled: bool
    num_events: Annotated[int, Field(ge=1_000, le=100_000_000)]
    num_users: Count | None
    num_items: Count | None
    num_reviews: Count | None
    num_days: Annotated[int, Field(ge=7, le=3650)]
    dirty_share: Annotated[float, Field(ge=0, le=0.5)]
    image_share: Share


class Bots(Settings):
    events_per_day: Count
    items_per_day: Count
    min_pause_variation: Positive
    min_events: Annotated[int, Field(ge=3)]


class Clean(Settings):
    min_date: dt.date
    max_quarantine_share: Share
    session_gap_minutes: Positive
    near_duplicate_seconds: Annotated[float, Field(ge=0, le=60)]
    click_window_minutes: Positive
    refund_days: Count
    bots: Bots
    max_text_chars: Count
    near_duplicate_similarity: Annotated[float, Field(gt=0, le=1)] | None
    pseudonym_key: Annotated[str, Field(pattern=REFERENCE)] | None


class QualityCheck(Settings):
    """What every check has: whether its failure stops the publish, or is only told."""

    severity: Literal["error", "warn"] = "error"
    types: ClassVar[tuple[str, ...]] = ()  # of columns that it can judge; empty: all

    @property
    def columns_read(self) -> list[str]:
        """Columns of the table that it judges."""
        return []


class ColumnCheck(QualityCheck):
    column: str

    @property
    def columns_read(self) -> list[str]:
        """Columns of the table that it judges."""
        return [self.column]


class Nulls(ColumnCheck):
    check: Literal["nulls"]
    max_share: Share = 0.0


class Range(ColumnCheck):
    check: Literal["range"]
    min: float | None = None
    max: float | None = None
    max_share: Share = 0.0
    types: ClassVar[tuple[str, ...]] = _NUMBERS

    @model_validator(mode="after")
    def _bounded(self) -> "Range":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class Values(ColumnCheck):
    check: Literal["values"]
    allowed: Annotated[list[str], Field(min_length=1)]
    max_share: Share = 0.0
    types: ClassVar[tuple[str, ...]] = ("string",)


class Unique(QualityCheck):
    check: Literal["unique"]
    columns: Annotated[list[str], Field(min_length=1)]

    @property
    def columns_read(self) -> list[str]:
        """Columns of the table that it judges."""
        return self.columns


class References(ColumnCheck):
    check: Literal["references"]
    table: str
    key: str | None = None
    max_share: Share = 0.0


class Fresh(ColumnCheck):
    check: Literal["fresh"]
    max_days: Positive
    types: ClassVar[tuple[str, ...]] = ("timestamp", "date")


class Volume(QualityCheck):
    check: Literal["volume"]
    min_ratio: Share = 0.0
    max_ratio: Annotated[float, Field(ge=1)] | None = None
    runs: Count = 7


class Drift(ColumnCheck):
    check: Literal["drift"]
    max_psi: Positive = 0.25
    bins: Annotated[int, Field(ge=2, le=100)] = 10
    days: Count = 28
    min_rows: Count = 500
    types: ClassVar[tuple[str, ...]] = (*_NUMBERS, "string", "boolean")


_CHECKS: dict[str, type[QualityCheck]] = {
    "nulls": Nulls, "range": Range, "values": Values, "unique": Unique, "references": References, "fresh": Fresh,
    "volume": Volume, "drift": Drift,
}  # fmt: skip
Check = Annotated[Nulls | Range | Values | Unique | References | Fresh | Volume | Drift, Field(discriminator="check")]


def _known_checks(tables: Any) -> Any:
    """Name the nearest table, check or key for one that is unknown: pydantic's own message on a union cannot."""
    for table, checks in tables.items() if isinstance(tables, dict) else ():
        if table not in TABLES:
            raise ValueError(f"{table!r} is not a table{nearest(str(table), TABLES)}")
        for number, given in enumerate(checks if isinstance(checks, list) else ()):
            kind = given.get("check") if isinstance(given, dict) else None
            if kind is None:
                raise ValueError(f"{table}[{number}]: needs a key check{nearest('', _CHECKS)}")
            if kind not in _CHECKS:
                raise ValueError(f"{table}[{number}]: {kind!r} is not a check{nearest(str(kind), _CHECKS)}")
            known = _CHECKS[kind].model_fields
            for key in given:
                if key not in known:
                    raise ValueError(f"{table}[{number}]: {key!r} is no key of {kind}{nearest(str(key), known)}")
    return tables


def _fitting_columns(tables: dict[str, list[Check]]) -> dict[str, list[Check]]:
    for table, checks in tables.items():
        types = {column.name: column.type for column in TABLES[table].columns}
        for number, check in enumerate(checks):
            place = f"{table}[{number}]"
            for column in check.columns_read:
                _one_of(column, types, f"a column of {table}", place)
                if check.types and types[column] not in check.types:
                    fitting = ", ".join(check.types)
                    raise ValueError(f"{place}: {check.check} judges {fitting}; {column} is {types[column]}")
            if isinstance(check, References):
                _one_of(check.table, TABLES, "a table", place)
                there = {column.name: column.type for column in TABLES[check.table].columns}
                key = check.key or check.column
                _one_of(key, there, f"a column of {check.table}", place)
                if there[key] != types[check.column]:
                    told = f"{check.column} is {types[check.column]}, {key} of {check.table} is {there[key]}"
                    raise ValueError(f"{place}: {told}")
    return tables


def _one_of(name: str, known: Iterable[str], what: str, place: str) -> None:
    if name not in known:
        raise ValueError(f"{place}: {name!r} is not {what}{nearest(name, known)}")


Quality = Annotated[dict[str, list[Check]], BeforeValidator(_known_checks), AfterValidator(_fitting_columns)]
"""Checks by table; each key's meaning stands in ``conf/base.yaml``."""


class Split(Settings):
    test_days: Count
    valid_days: Count


class Features(Settings):
    negatives: Count
    valid_user_share: Annotated[float, Field(ge=0, lt=0.5)]
    test_user_share: Annotated[float, Field(ge=0, lt=0.5)]


class TrainTask(Settings):
    """What every training task has in common."""

    max_tokens: Annotated[int, Field(ge=4, le=512)]
    max_examples: Count | None
    epochs: Count
    tokens_per_batch: Count
    learning_rate: Positive
    warmup_share: Share
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Positive
    patience: Count | None
    dropout: Annotated[float, Field(ge=0, lt=1)]


class EncoderTask(TrainTask):
    """A task that starts from an encoder."""

    head_learning_rate: Positive
    frozen_layers: Annotated[int, Field(ge=0)]
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    lora_rank: Annotated[int, Field(ge=0)]


class GatedTask(EncoderTask):
    """A task with held-out test texts, on which a new model is compared with the one in use, and may learn on from it."""

    start_from: Literal["encoder", "latest"]
    replay_share: Share
    max_loss: Annotated[float, Field(ge=0)]


class SentimentTask(GatedTask):
    enabled: bool
    positive_min_rating: float
    negative_max_rating: float
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    valid_share: Annotated[float, Field(gt=0, lt=0.5)]
    test_share: Annotated[float, Field(gt=0, lt=0.5)]
    min_accuracy: Share


class TextMatchTask(EncoderTask):
    enabled: bool
    temperature: Positive
    history_days: Positive
    valid_share: Annotated[float, Field(gt=0, lt=0.5)]


class CrossMatchTask(EncoderTask):
    enabled: bool
    history_days: Positive
    num_negatives: Count
    valid_share: Annotated[float, Field(gt=0, lt=0.5)]


class NextItemTask(TrainTask):
    enabled: bool
    width: Count
    layers: Count
    heads: Count
    num_negatives: Annotated[int, Field(ge=0)]
    text_vectors: bool


class ResponseTask(EncoderTask):
    enabled: bool


class FromScratch(Settings):
    layers: Count
    width: Count
    heads: Count
    vocab_size: Count


class Finetune(GatedTask):
    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")] | None
    task: Literal["classification", "multi_label", "cross_encoder", "masked_language", "causal_language"]
    from_scratch: FromScratch | None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_weights: Literal["none", "balanced"]
    valid_share: Annotated[float, Field(gt=0, lt=0.5)]
    test_share: Annotated[float, Field(ge=0, lt=0.5)]
    min_score: float | None


class Between(Settings):
    """Numbers to choose from: all between two ends, by their logarithm or not; whole ones where both ends are whole."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Between":
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} is not above 0, and log is true")
        return self


class Tune(Settings):
    trials: Count
    space: Annotated[dict[str, Between | list[int | float | str | bool | None] | None], Field(min_length=1)]

    @field_validator("space")
    @classmethod
    def _known_settings(cls, space: dict[str, Any]) -> dict[str, Any]:
        for name in space:
            if name not in Finetune.model_fields:
                raise ValueError(f"{name!r} is not a setting of train.finetune{nearest(name, Finetune.model_fields)}")
        return space


class Train(Settings):
    encoder: str
    launcher: Literal["horovod", "horovodrun", "torch", "single"]
    num_ranks: Count
    min_ranks: Count | None
    hosts: str | None
    threads_per_rank: Count | None
    precision: Literal["auto", "float32", "bfloat16"]
    optimizer: Literal["adamw", "sgd"]
    accumulation: Count
    compression: Literal["none", "float16"]
    fusion_mb: Annotated[int, Field(ge=0)]
    gradient_checkpointing: bool
    compile: bool
    checkpoint_minutes: Positive
    start_timeout_seconds: Count
    reader: Literal["auto", "petastorm", "pyarrow"]
    tracking: list[Literal["mlflow", "tensorboard"]]
    sentiment: SentimentTask
    text_match: TextMatchTask
    cross_match: CrossMatchTask
    next_item: NextItemTask
    response: ResponseTask
    finetune: Finetune
    tune: Tune

    @model_validator(mode="after")
    def _fewer_ranks(self) -> "Train":
        if self.min_ranks is None:
            return self
        if self.launcher != "horovod":
            raise ValueError(f"min_ranks is for launcher horovod, but launcher is {self.launcher}: set min_ranks=null")
        if self.min_ranks > self.num_ranks:
            raise ValueError(f"min_ranks is {self.min_ranks}, above num_ranks {self.num_ranks}")
        return self

    @model_validator(mode="after")
    def _can_be_tried(self) -> "Train":
        for name, space in self.tune.space.items():
            values = [space.low, space.high] if isinstance(space, Between) else space or []
            for value in values:
                try:
                    Finetune.model_validate(self.finetune.model_dump() | {name: value})
                except ValidationError as error:
                    raise ValueError(f"tune.space.{name}: {value!r} cannot be: {error.errors()[0]['msg']}") from None
        return self


class Score(Settings):
    texts: list[str] | None
    tokens_per_batch: Count
    max_tokens: Annotated[int, Field(ge=4, le=512)] | None
    image_encoder: Annotated[str, Field(min_length=1)] | None
    image_root: Annotated[str, Field(min_length=1)] | None
    image_weight: Share
    precision: Literal["auto", "float32", "bfloat16", "int8"]
    max_int8_loss: Share
    max_new_tokens: Annotated[int, Field(ge=1, le=1024)]
    gpus_per_task: Positive | None
    satisfaction_prior: Positive
    num_words: Count
    num_segments: Count

    @field_validator("gpus_per_task")
    @classmethod
    def _as_spark_counts(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError(f"{gpus:g} GPUs: give at most 1, or a whole number")
        return gpus


class AlsPoint(Settings):
    rank: Count
    reg: Positive
    alpha: Positive


class Ease(Settings):
    grid: Annotated[list[Positive], Field(min_length=1)]
    max_items: Annotated[int, Field(ge=2, le=20_000)]


class Als(Settings):
    grid: Annotated[list[AlsPoint], Field(min_length=1)]
    iterations: Annotated[int, Field(ge=1, le=10)]
    blocks: Count


class Popular(Settings):
    half_lives_days: Annotated[list[Positive], Field(min_length=1)]


class Covisit(Settings):
    neighbours: Count
    session_bonus: Annotated[float, Field(ge=0)]
    shrink: Annotated[float, Field(ge=0)]


class Ranker(Settings):
    num_rounds: Count
    learning_rate: Positive
    num_leaves: Annotated[int, Field(ge=2)]
    periods: Annotated[int, Field(ge=1, le=12)]
    max_users: Count


SOURCE_NAMES = ("popular", "region", "category", "als", "ease", "covisit", "next_item", "latest_visit", "text", "again")
"""Sources of candidates, see ``attune.recommend.sources``."""


def _refuse_unknown(names: Iterable[str], known: Iterable[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is {what}{nearest(name, known)}")


class FrequencyCap(Settings):
    times: Count
    days: Count


class Rerank(Settings):
    diversity: Share
    novelty: Share
    max_per_category: Count | None
    max_per_brand: Count | None
    boosts: dict[str, Positive]
    min_exposure: dict[str, Annotated[float, Field(gt=0, lt=1)]]
    frequency_cap: FrequencyCap | None

    @field_validator("min_exposure")
    @classmethod
    def _of_one_list(cls, shares: dict[str, float]) -> dict[str, float]:
        if (total := sum(shares.values())) > 1:
            raise ValueError(f"the shares add up to {total:g}, but a list has only 1 to give")
        return shares


class Sink(Settings):
    """Where recommendations also go: a format of Spark's, with its options."""

    format: Annotated[str, Field(min_length=1)]
    path: str | None = None
    mode: Literal["overwrite", "append"] = "overwrite"
    options: dict[str, str] = {}

    @model_validator(mode="after")
    def _has_place(self) -> "Sink":
        needed = ("url", "dbtable") if self.format == "jdbc" else ()
        missing = [f"options.{name}" for name in needed if name not in self.options]
        if self.format in _FILE_FORMATS and not self.path:
            missing.append("path")
        if missing:
            raise ValueError(f"format {self.format} needs {' and '.join(missing)}")
        return self


class Recommend(Settings):
    top_n: Count
    event_weights: dict[str, Positive]
    half_life_days: Positive
    repeat: bool
    max_history: Count
    new_items: bool
    offer: str | None
    candidates_per_source: Count
    quotas: dict[str, Annotated[int, Field(ge=0)]]
    popular: Popular
    als: Als
    ease: Ease
    covisit: Covisit
    ranker: Ranker
    short_list: Count
    rerank: Rerank
    sinks: list[Sink]

    @property
    def num_candidates(self) -> dict[str, int]:
        """Items that each source proposes for a user."""
        return {source: self.quotas.get(source, self.candidates_per_source) for source in SOURCE_NAMES}

    @model_validator(mode="after")
    def _offers_new_items(self) -> "Recommend":
        if not self.new_items and "new" in self.rerank.min_exposure:
            raise ValueError("rerank.min_exposure: new items are not offered: set new_items=true")
        return self

    @field_validator("quotas")
    @classmethod
    def _known_sources(cls, quotas: dict[str, int]) -> dict[str, int]:
        _refuse_unknown(quotas, SOURCE_NAMES, "no source of candidates")
        return quotas

    @field_validator("event_weights")
    @classmethod
    def _known_events(cls, weights: dict[str, float]) -> dict[str, float]:
        _refuse_unknown(weights, EVENT_TYPES, "not an event type")
        return weights


class Evaluate(Settings):
    k: Annotated[list[Count], Field(min_length=1)]
    bootstrap_samples: Count


class Report(Settings):
    num_sample_users: Count


class Forget(Settings):
    users: list[Annotated[str, Field(pattern=r"\S")]]
    users_file: str | None


class Retention(Settings):
    versions_days: Annotated[float, Field(ge=0)]
    rows_days: dict[str, Count]
    runs_days: Positive | None
    models: Annotated[int, Field(ge=0)]

    @field_validator("rows_days")
    @classmethod
    def _by_day(cls, tables: dict[str, int]) -> dict[str, int]:
        daily = [name for name, table in TABLES.items() if set(table.partition_by) & {"ds", "as_of"}]
        for name in tables:
            if name not in daily:
                raise ValueError(f"{name!r} is not a table by day{nearest(name, daily)}")
        return tables


class OnFailure(Settings):
    command: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)] | None
    webhook: Annotated[str, Field(pattern=f"{REFERENCE}|^https://")] | None


class Config(Settings):
    """All settings of a run."""

    workspace: str
    catalog: str | None
    seed: int
    since: dt.date | None
    as_of: dt.date
    inputs: Inputs
    generate: Generate
    clean: Clean
    quality: Quality
    split: Split
    features: Features
    train: Train
    score: Score
    recommend: Recommend
    evaluate: Evaluate
    report: Report
    forget: Forget
    retention: Retention
    on_failure: OnFailure
    spark: dict[str, str | int | float | bool]

    @field_validator("workspace")
    @classmethod
    def _is_folder(cls, workspace: str) -> str:
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", workspace):
            raise ValueError(
                "not a folder: give one that all machines have under the same path, such as a mount of the bucket"
            )
        return workspace

    @field_validator("catalog")
    @classmethod
    def _of_two_parts(cls, catalog: str | None) -> str | None:
        if catalog is not None and not re.fullmatch(r"[\w-]+\.[\w-]+", catalog):
            raise ValueError("give CATALOG.SCHEMA, such as main.shop")
        return catalog

    @property
    def inputs_root(self) -> str:
        """Folder that relative input paths start from."""
        return self.inputs.root or f"{self.workspace}/raw"

    @property
    def image_root(self) -> str:
        """Folder or URI that all pictures of items lie under."""
        return self.score.image_root or self.inputs_root

    @property
    def test_start(self) -> dt.date:
        """First day of the held-out period."""
        return self.as_of - dt.timedelta(days=self.split.test_days)

    @property
    def valid_start(self) -> dt.date:
        """First day of the validation period; models learn from what is before it."""
        return self.test_start - dt.timedelta(days=self.split.valid_days)

    @property
    def cutoffs(self) -> list[dt.date]:
        """Dates as of which features and candidates are computed: to learn and tune, to test, and to publish.

        The first ``recommend.ranker.periods`` are the starts of the periods that the ranking model learns from.
        """
        back = range(self.recommend.ranker.periods, 0, -1)
        starts = [self.test_start - dt.timedelta(days=self.split.valid_days * periods) for periods in back]
        return [*starts, self.test_start, self.as_of]

    def fingerprint(self) -> str:
        """Hash of all settings, to tell whether two runs had the same; without the users to forget, who could be tried."""
        return hashlib.sha256(self.model_dump_json(exclude={"forget"}).encode()).hexdigest()[:16]


def conf_names() -> list[str]:
    """Names of the settings files that come with the package, without ``.yaml``."""
    folder = resources.files("attune") / "conf"
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def load(
    files: Iterable[str] = (), overrides: Iterable[str] = (), as_of: str | None = None, since: str | None = None
) -> Config:
    """Layer the settings: ``base.yaml``, then files in order, then ``key=value`` overrides, then the two dates.

    A file is a path, or the name of a file in ``conf/`` (``demo``). Raises SettingsError, naming the key and the mend.
    """
    layered = _read_yaml("base")
    for file in files:
        _merge(layered, _read_yaml(file))
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            shown = "..." if found_in(override) else override
            raise SettingsError(f"--set {shown}: write it as key=value, such as --set seed=3")
        layer: Any = _yaml(value, f"--set {key}")
        for part in reversed(key.split(".") if not key.startswith("spark.spark.") else ["spark", key[6:]]):
            layer = {part: layer}
        _merge(layered, layer)
    if as_of is not None:
        layered["as_of"] = as_of
    if since is not None:
        layered["since"] = since
    layered["as_of"] = layered["as_of"] or dt.datetime.now(dt.UTC).date()
    _refuse_secrets(layered)
    try:
        return Config.model_validate(layered)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(e) for e in error.errors())) from None


def _read_yaml(name: str) -> dict[str, Any]:
    path = Path(name)
    packaged = resources.files("attune") / "conf" / f"{name.removesuffix('.yaml')}.yaml"
    if path.is_file():
        text = path.read_text(encoding="utf-8")
    elif "/" not in name and packaged.is_file():
        text = packaged.read_text(encoding="utf-8")
    else:
        raise SettingsError(f"settings file {name} does not exist{nearest(name, conf_names())}")
    content = _yaml(text, name) or {}
    if not isinstance(content, dict):
        raise SettingsError(f"settings file {name}: expected keys and values, found {type(content).__name__}")
    return content


class _Loader(yaml.SafeLoader):
    """YAML that keeps dates as text, so that a Spark option or expression that looks like one stays as written."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _yaml(text: str, name: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        # Its own text quotes the lines around, which may hold anything.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or type(error).__name__
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = re.sub("(alias|anchor|tag) '.*'", r"\1", problem)
        raise SettingsError(f"{name}: not valid YAML{place}: {problem}") from None


_HOW_REFERRED = "give env:NAME or secret:SCOPE/NAME, which is read when it is used"


def _refuse_secrets(value: Any, at: tuple[str, ...] = ()) -> None:
    """Raise SettingsError for what looks like a secret: it names the setting and the mend, and never the value."""
    if at == ("on_failure", "command"):
        if found_in(" ".join(map(str, value)) if isinstance(value, list) else str(value)):
            raise SettingsError("setting on_failure.command holds a secret: have it read an environment variable")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_secrets(inner, (*at, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _refuse_secrets(inner, (*at, str(number)))
    elif value is not None and _holds_secret(str(value), at):
        how = _HOW_REFERRED if _may_refer(at) else "take it out; options and spark settings take env:NAME in its place"
        raise SettingsError(f"setting {'.'.join(at)} holds a secret: {how}")


def _holds_secret(value: str, at: tuple[str, ...]) -> bool:
    if at == ("clean", "pseudonym_key"):
        return not is_reference(value)
    if at == ("on_failure", "webhook"):
        return not is_reference(value) and (found_in(value) or looks_like_key(value))
    if _may_refer(at):
        return found_in(value, at[-1])
    if at == ("recommend", "offer") or (at[0] == "inputs" and at[2:3] in (("columns",), ("refuse",))):
        return False  # SQL may well take an address to pieces
    return "://" in value and found_in(value)


def _may_refer(at: tuple[str, ...]) -> bool:
    """Whether a setting takes a reference to a secret."""
    named = at[:1] == ("spark",) or at in (("clean", "pseudonym_key"), ("on_failure", "webhook"))
    return named or (at[0] in ("inputs", "recommend") and "options" in at[2:-1])


def _merge(base: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Lay one tree over another in place; lists and scalars replace."""
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _explain(error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"unknown setting {key}{nearest(location[-1], _known_keys(location[:-1]))}"
    message = error["msg"].removeprefix("Value error, ")
    told = not isinstance(error["input"], dict | list) and not _may_hold_secret(location, str(error["input"]))
    seen = f", not {error['input']!r}" if told else ""
    return f"setting {key}: {message[0].lower() + message[1:]}{seen}"


def _may_hold_secret(location: list[str], value: str) -> bool:
    return names_secret(location[-1]) or location[0] == "on_failure" or found_in(value)


def _known_keys(location: list[str]) -> list[str]:
    """Keys that the settings know at a place."""
    group: type[BaseModel] = Config
    for part in location:
        annotation = group.model_fields[part].annotation if part in group.model_fields else None
        groups = [a for a in (annotation, *getattr(annotation, "__args__", ())) if isinstance(a, type)]
        group = next((g for g in groups if issubclass(g, BaseModel)), Settings)
    return [field.alias or name for name, field in group.model_fields.items()]
