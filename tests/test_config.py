"""A wrong setting is refused with the key and the mend before anything starts."""

import datetime as dt
from pathlib import Path

import pytest

from attune import config
from attune.errors import SettingsError


def test_later_layers_win(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("seed: 1\nsplit: {test_days: 3}\n")
    second.write_text("seed: 2\n")
    settings = config.load([str(first), str(second)], ["split.valid_days=5"], as_of="2020-02-10")
    assert (settings.seed, settings.split.test_days, settings.split.valid_days) == (2, 3, 5)
    assert settings.cutoffs[-3:] == [dt.date(2020, 2, 2), dt.date(2020, 2, 7), dt.date(2020, 2, 10)]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("sede=3", "unknown setting sede; did you mean 'seed'?"),
        ("clean.min_dat=2000-01-01", "unknown setting clean.min_dat; did you mean 'min_date'?"),
        ("train.sentiment.epoch=1", "unknown setting train.sentiment.epoch; did you mean 'epochs'?"),
        ("inputs.events.colums=1", "unknown setting inputs.events.colums; did you mean 'columns'?"),
        (
            "inputs.events.columns.usr_id=u",
            "inputs: events.columns: 'usr_id' is not a column of events; did you mean 'user_id'?",
        ),
        ("seed=x", "setting seed: input should be a valid integer, unable to parse string as an integer, not 'x'"),
        ("split.test_days=0", "setting split.test_days: input should be greater than or equal to 1, not 0"),
        (
            "inputs.events.format=xml",
            "setting inputs.events.format: input should be 'csv', 'json', 'parquet' or 'delta', not 'xml'",
        ),
        (
            "inputs.events.schema=null",
            "setting inputs.events: format json needs a schema, such as 'user STRING, ts STRING'",
        ),
        ("recommend.event_weights.klick=1", "'klick' is not an event type; did you mean 'click'?"),
        ("score.gpus_per_task=1.5", "setting score.gpus_per_task: 1.5 GPUs: give at most 1, or a whole number"),
        ("train.min_ranks=3", "setting train: min_ranks is 3, above num_ranks 2"),
        (
            "retention.rows_days.event=3",
            "setting retention.rows_days: 'event' is not a table by day; did you mean 'events'?",
        ),
        ("forget.users=[16014]", "setting forget.users.0: input should be a valid string, not 16014"),
        (
            "workspace=s3a://bucket/shop",
            "setting workspace: not a folder: give one that all machines have under the same path",
        ),
        ("workspace=dbfs:/shop", "setting workspace: not a folder"),
        ("catalog=main", "setting catalog: give CATALOG.SCHEMA, such as main.shop, not 'main'"),
        ("catalog=main.shop.x", "setting catalog: give CATALOG.SCHEMA, such as main.shop, not 'main.shop.x'"),
        ("seed", "--set seed: write it as key=value, such as --set seed=3"),
        ("seed=[1", "--set seed: not valid YAML in line 1, column 3"),
    ],
)
def test_a_wrong_setting_is_named_with_its_mend(override: str, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        config.load(["demo"], [override])
    assert told in str(error.value)


def test_a_missing_settings_file_is_named_with_the_nearest() -> None:
    with pytest.raises(
        SettingsError, match=r"settings file onlin_retail does not exist; did you mean 'online_retail'\?"
    ):
        config.load(["onlin_retail"])


def test_every_file_in_conf_is_valid() -> None:
    for name in config.conf_names():
        assert config.load([] if name == "base" else [name]).seed == 7


def test_spark_options_keep_their_dots() -> None:
    assert config.load([], ["spark.spark.ui.enabled=false"]).spark["spark.ui.enabled"] is False


def test_fingerprint_tells_nothing_of_users_to_forget() -> None:
    """Who has it and a list of ids could try them."""
    assert config.load(["demo"], ["forget.users=[u1]"]).fingerprint() == config.load(["demo"]).fingerprint()


def test_fingerprint_tells_settings_apart() -> None:
    assert config.load(["demo"]).fingerprint() == config.load(["demo"]).fingerprint()
    assert config.load(["demo"]).fingerprint() != config.load(["demo"], ["seed=8"]).fingerprint()
