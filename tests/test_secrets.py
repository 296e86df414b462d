"""Secrets are given by reference, refused where they are written out, and told nowhere."""

import base64
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from attune import config
from attune.errors import SettingsError
from attune.run import Run, job
from attune.secrets import SPARK_REDACTION, found_in, hide, hide_within, names_secret, register, register_references

SECRET = "hunter2-in-the-dark"
JDBC = 'recommend.sinks=[{{format: jdbc, options: {{url: "{url}", dbtable: t, {more}}}}}]'
LITERAL = {
    "recommend.sinks.0.options.password": JDBC.format(url="jdbc:x://db", more=f"password: {SECRET}"),
    "recommend.sinks.0.options.url": JDBC.format(url=f"jdbc:postgresql://shop:{SECRET}@db/x", more="user: u"),
    "recommend.sinks.0.options.sslpassword": JDBC.format(url="jdbc:x://db", more=f"sslpassword: {SECRET}"),
    "recommend.sinks.0.options.dbtable": JDBC.format(url="jdbc:x://db", more=f'dbtable: "t;AccountKey={SECRET}"'),
    "inputs.events.options.kafka.sasl.jaas.config": f"inputs.events.options={{kafka.sasl.jaas.config: 'X required password=\"{SECRET}\";'}}",
    "inputs.events.options.apiKey": f"inputs.events.options={{apiKey: {SECRET}}}",
    "inputs.events.path": f"inputs.events.path=s3a://AKIA:{SECRET}@raw/events",
    "inputs.root": f"inputs.root=https://raw.example.com/x?sig={SECRET}",
    "spark.spark.hadoop.fs.s3a.secret.key": f"spark.spark.hadoop.fs.s3a.secret.key={SECRET}",
    "spark.spark.hadoop.fs.azure.account.key.lake.dfs.core.windows.net": f"spark.spark.hadoop.fs.azure.account.key.lake.dfs.core.windows.net={SECRET}",
    "spark.spark.ssl.keyPassword": "spark.spark.ssl.keyPassword=90210144",
    "spark.spark.driver.extraJavaOptions": f"spark.spark.driver.extraJavaOptions=-Djavax.net.ssl.trustStorePassword={SECRET}",
    "on_failure.webhook": f"on_failure.webhook=https://hooks.example.com/services/T01/{SECRET}",
    "on_failure.command": f"on_failure.command=curl -H 'Authorization: Bearer {SECRET}' https://example.com",
    "clean.pseudonym_key": f"clean.pseudonym_key={SECRET}",
}


@pytest.mark.parametrize(("setting", "override"), LITERAL.items(), ids=LITERAL)
def test_a_secret_that_is_written_out_is_refused_and_not_repeated(
    setting: str, override: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match=rf"^setting {re.escape(setting)} holds a secret: ") as error:
        config.load(["demo"], [override])
    assert "env" in str(error.value)
    assert SECRET not in str(error.value)

    key, _, value = override.partition("=")
    file = tmp_path / "mine.yaml"
    nested: object = value if key.startswith("on_failure") or value[0] not in "[{" else config._yaml(value, "test")
    for part in reversed(key.split(".") if not key.startswith("spark.") else ["spark", key.removeprefix("spark.")]):
        nested = {part: nested}
    file.write_text(json.dumps(nested))

    @job()
    def idle(run: Run) -> None:
        """Do nothing."""

    for arguments in (
        ["--config", "demo", "--config", str(file)],
        ["--set", override],
        ["--set", override, "--dry-run"],
    ):
        assert idle.main(["--set", f"workspace={tmp_path / 'w'}", *arguments]) == 2
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    assert "90210144" not in printed.out + printed.err
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "override",
    [
        JDBC.format(url="jdbc:postgresql://db:5432/shop", more='password: "env:DB", user: shop'),
        "inputs.events.path=abfss://raw@lake.dfs.core.windows.net/events",
        "spark.spark.hadoop.fs.s3a.secret.key=env:S3_SECRET",
        "spark.spark.hadoop.fs.s3a.aws.credentials.provider=software.amazon.awssdk.auth.Provider",
        "spark.spark.security.credentials.hive.enabled=false",
        "on_failure.webhook=https://ops.example.com/attune",
        "on_failure.webhook=secret:ops/slack",
        "on_failure.command='curl -H \"Authorization: Bearer $PAGER_TOKEN\" --token $T https://example.com'",
        "on_failure.command=[mail, -s, attune failed, ops@example.com]",
        "recommend.offer=title <> 'https://x?token=1234567'",
        "inputs.events.columns.query=regexp_extract(url, 'https://[^?]+[?]token=([^&]+)', 1)",
        "spark.spark.my.tokenizer=whitespace",
        "spark.spark.my.maxTokens=4096",
    ],
)  # fmt: skip
def test_what_is_no_secret_is_taken(override: str) -> None:
    config.load(["demo"], [override])


@pytest.mark.parametrize(
    "override",
    [
        f"recommend.sinks.password:{SECRET}",
        f"recommend.sinks=[{{password: {SECRET}",
        f"clean.pseudonym_keys={SECRET}",
        f"on_failure.webhook=http://hook/{SECRET}",
        f"recommend.password={SECRET}",
        f"recommend.offer=*{SECRET}",
        f"recommend.offer=!{SECRET} x",
    ],
)
def test_a_wrong_setting_does_not_repeat_what_may_be_a_secret(override: str) -> None:
    with pytest.raises(SettingsError) as error:
        config.load(["demo"], [override])
    assert SECRET not in str(error.value)


def test_a_settings_file_that_is_no_yaml_is_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"seed: 1\nrecommend: {{password: '{SECRET}'\n  x: [")
    with pytest.raises(SettingsError, match=r"mine.yaml: not valid YAML in line 3, column 3") as error:
        config.load([str(file)])
    assert SECRET not in str(error.value)


def test_words_that_are_not_understood_are_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    @job()
    def idle(run: Run) -> None:
        """Do nothing."""

    with pytest.raises(SystemExit) as end:
        idle.main([f"--recommend.sinks.0.options.password={SECRET}"])
    assert end.value.code == 2
    assert "unrecognized arguments" in (said := capsys.readouterr().err)
    assert SECRET not in said


def test_a_secret_is_hidden_in_every_form_in_which_it_is_told() -> None:
    secret = 'päss/w "ord\\1'
    register(secret)
    forms = {secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret), "p%C3%A4ss%2Fw%20%22ord%5C1",
             "p%C3%A4ss%2Fw+%22ord%5C1"}  # fmt: skip
    for form in forms:
        assert hide(f"x={form}.").replace('"', "").replace("'", "") == "x=<secret>.", form
    assert hide_within({secret: [secret, {"n": 7, "t": (secret, None, True)}]}) == {
        "<secret>": ["<secret>", {"n": 7, "t": ["<secret>", None, True]}]
    }


def test_the_lines_of_a_key_are_hidden_one_by_one() -> None:
    body = [base64.b64encode(bytes([n] * 36)).decode() for n in (200, 201)]
    register("\n".join(["-----BEGIN KEY-----", *body, "-----END KEY-----", ""]))
    assert hide(f"bad key: {body[1]}") == "bad key: <secret>"


def test_a_longer_secret_is_not_left_in_part_by_a_shorter_one() -> None:
    register("swordfish")
    register("swordfish-and-chips")
    assert hide("swordfish-and-chips or swordfish") == "<secret> or <secret>"
    register("abc")
    assert hide("abc") == "abc", "so short a word stands in every text"


def test_what_settings_refer_to_is_known_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "correct-horse-battery")
    register_references({"clean": {"pseudonym_key": "env:SOME_KEY"}, "sinks": [{"options": {"x": "env:NOT_THERE"}}]})
    assert hide("key correct-horse-battery") == "key <secret>"


def test_a_failed_job_tells_its_secret_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A driver that repeats the password in its error is what happens in practice."""
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    sink = JDBC.format(url="jdbc:x://db/shop", more='password: "env:DB_PASSWORD"')

    @job()
    def leak(run: Run) -> None:
        """Fail with the secret in all that a job may tell."""
        run.metric("url", f"jdbc:x://db?password={SECRET}")
        run.metric(SECRET, 1)
        run.skip("sink", f"login as {SECRET}")
        run.artefact("list", f"/lists/{SECRET}")
        run.log(f"login with {SECRET}", detail=SECRET)
        try:
            raise OSError(f"refused: {SECRET}")
        except OSError as error:
            raise RuntimeError(f"no login with\n{SECRET}") from error

    arguments = ["--set", f"workspace={tmp_path}", "--as-of", "2020-01-01", "--set", sink]
    assert leak.main(arguments) == 1
    assert leak.main([*arguments, "--dry-run"]) == 0
    printed = capsys.readouterr()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"summary.json", "log.jsonl", "traceback.txt"} <= {file.name for file in files}
    told = {"stdout": printed.out.encode(), "stderr": printed.err.encode(), **{str(f): f.read_bytes() for f in files}}
    tables = {file: repr(pq.read_table(file).to_pylist()) for file in files if file.suffix == ".parquet"}  # compressed
    told |= {f"rows of {file}": rows.encode() for file, rows in tables.items()}
    assert any("login as <secret>" in rows for rows in tables.values())
    assert [name for name, text in told.items() if SECRET.encode() in text] == []
    (trace,) = tmp_path.glob("runs/*/traceback.txt")
    assert "OSError: refused: <secret>" in trace.read_text()
    (summary,) = tmp_path.glob("runs/*/summary.json")
    assert json.loads(summary.read_text())["metrics"]["url"] == "jdbc:x://db?password=<secret>"


def test_settings_hold_and_fingerprint_the_reference_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash of a password can be guessed at."""
    prints = []
    for value in (SECRET, "another-one-entirely"):
        monkeypatch.setenv("DB_PASSWORD", value)
        settings = config.load(["demo"], [JDBC.format(url="jdbc:x://db", more='password: "env:DB_PASSWORD"')])
        prints.append(settings.fingerprint())
        assert value not in settings.model_dump_json()
    assert prints[0] == prints[1]


def test_spark_redacts_what_it_redacts_by_itself_and_ours() -> None:
    for name in ("spark.my.secret", "spark.password", "spark.token.x", "spark.fs.access.key", "spark.fs.accessKey",
                 "spark.fs.azure.account.key.x", "spark.credential", "sasl.passwd"):  # fmt: skip
        assert re.search(SPARK_REDACTION, name), name
        assert names_secret(name), name
    assert not re.search(SPARK_REDACTION, "spark.sql.requireAllClusterKeysForCoPartition")
    assert not found_in("8g", "spark.driver.memory")
