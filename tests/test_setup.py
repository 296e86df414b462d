"""The set-up: pins that fit together, what a machine lacks, what reaches spark-submit and the executors, the wheel."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
)


def requirements() -> list[Requirement]:
    """What setup.py asks for, its extras included."""
    import setuptools

    asked: dict[str, object] = {}
    original, setuptools.setup = setuptools.setup, asked.update  # type: ignore[assignment]
    try:
        runpy.run_path(str(ROOT / "setup.py"))
    finally:
        setuptools.setup = original
    extras: Mapping[str, list[str]] = asked["extras_require"]  # type: ignore[assignment]
    return [Requirement(text) for texts in [asked["install_requires"], *extras.values()] for text in texts]  # type: ignore[attr-defined]


def normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def test_every_requirement_is_pinned_within_its_range() -> None:
    pins = {normal(name): version for name, version in PINS.items()}
    for requirement in requirements():
        assert normal(requirement.name) in pins, f"{requirement.name} has no pin in constraints.txt"
        assert pins[normal(requirement.name)] in requirement.specifier, requirement


def test_the_environment_has_exactly_the_pinned_versions() -> None:
    """Else the tests would prove another environment than the one that users get."""
    differ = {n: (pin, metadata.version(n)) for n, pin in PINS.items() if Version(metadata.version(n)).public != pin}
    assert not differ


def test_an_unknown_lane_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "attune")
    refused = subprocess.run([checkout / "tools" / "lane.sh", "2.4"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "usage: tools/lane.sh 3.5 | 4.1" in refused.stderr
    assert not (checkout / "build").exists()


def copy_of_checkout(target: Path) -> Path:
    """The checkout's own files, without the environment and what was built."""
    names = [
        "conf",
        "jobs",
        "lib",
        "tools",
        "constraints.txt",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "spark-submit.sh",
    ]
    target.mkdir()
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy2(source, target / name)
    return target


def submit(checkout: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    command = [str(checkout / "spark-submit.sh"), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=clean | environment, cwd=checkout.parent
    )


def test_help_and_unknown_jobs_need_no_set_up(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "attune")
    for words in ([], ["--help"]):
        listed = submit(checkout, *words, PYTHON=sys.executable)
        assert listed.returncode == 0, listed.stderr
        assert "Turn raw events" in listed.stdout
    unknown = submit(checkout, "claen", PYTHON=sys.executable)
    assert unknown.returncode == 2
    assert "did you mean 'clean'" in unknown.stderr
    assert not (checkout / ".venv").exists()


def test_what_the_machine_lacks_is_said_up_front(tmp_path: Path) -> None:
    """Not after minutes of installing; with the names of the packages."""
    checkout = copy_of_checkout(tmp_path / "attune")
    lacking = {"JAVA_HOME": "/nowhere", "ATTUNE_CXX": "no-such-compiler", "ATTUNE_CACHE": str(tmp_path / "cache")}
    refused = submit(checkout, "clean", PYTHON=sys.executable, **lacking)
    assert refused.returncode == 4
    assert "Java 17 or 21 (openjdk-17-jre-headless)" in refused.stderr
    assert re.search(r"mend: sudo apt-get install -y openjdk-17-jre-headless g\+\+", refused.stderr)
    assert not (checkout / ".venv").exists()


def test_an_old_java_is_refused(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "attune")
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    refused = submit(checkout, "clean", PYTHON=sys.executable, JAVA_HOME=str(java.parents[1]))
    assert refused.returncode == 4
    assert "Java 17 or 21, found 11" in refused.stderr


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A checkout whose environment counts as made; its spark-submit prints what it is given."""
    checkout = copy_of_checkout(tmp_path / "attune")
    (checkout / "tools" / "setup.sh").write_text("#!/bin/sh\n")
    told = "import sys; print('packed', sys.argv[1], 'into', sys.argv[2], file=sys.stderr)"
    (checkout / "tools" / "pack_environment.py").write_text(told)
    binaries = checkout / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (binaries / "spark-submit").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nenv\n')
    for file in binaries.iterdir():
        file.chmod(0o755)
    return checkout


def test_options_before_the_job_go_to_spark_and_those_after_to_the_job(prepared: Path) -> None:
    done = submit(prepared, "--conf", "a=b", "--name=x", "--master", "local[1]", "clean", "--set", "seed=3 4")
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[:2] == ["--master", "local[1]"]
    assert words[2:4] == ["--driver-memory", "3g"]
    script = words.index(f"{prepared}/jobs/clean.py")
    ours = ["--conf", "spark.driver.extraJavaOptions=-XX:-DontCompileHugeMethods"]  # before the user's, which win
    assert words[4:script] == [*ours, "--py-files", f"{prepared}/.venv/attune.zip", "--conf", "a=b", "--name=x"]
    assert words[script + 1 : script + 3] == ["--set", "seed=3 4"]
    assert "SPARK_LOCAL_IP=127.0.0.1" in words
    assert f"PYSPARK_PYTHON={prepared}/.venv/bin/python" in words


def test_master_and_python_of_a_cluster_are_kept(prepared: Path) -> None:
    done = submit(
        prepared, "--py-files", "more.zip", "clean", MASTER="spark://host:7077", PYSPARK_PYTHON="./env/bin/python"
    )
    words = done.stdout.splitlines()
    assert words[:2] == ["--master", "spark://host:7077"]
    assert f"{prepared}/.venv/attune.zip,more.zip" in words
    assert "PYSPARK_PYTHON=./env/bin/python" in words
    assert not any(word.startswith("SPARK_LOCAL_IP") for word in words)


def test_the_environment_goes_along_to_a_cluster(prepared: Path) -> None:
    """Nodes have nothing of it, and the driver's paths mean nothing there."""
    done = submit(prepared, "--archives", "more.zip#more", "clean", MASTER="spark://host:7077")
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    archive = prepared / ".venv" / "environment.tar.gz"
    assert words[words.index("--archives") + 1] == f"{archive}#environment,more.zip#more"
    assert "PYSPARK_PYTHON=./environment/bin/python" in words
    assert f"PYSPARK_DRIVER_PYTHON={prepared}/.venv/bin/python" in words
    assert f"spark.pyspark.driver.python={prepared}/.venv/bin/python" in words
    assert f"packed {prepared}/.venv into {archive}" in done.stderr


def test_nothing_is_packed_for_this_machine_or_for_nodes_that_have_it(prepared: Path) -> None:
    given = [["--conf", "spark.pyspark.python=/opt/env/bin/python", "--master", "yarn"], ["--master", "local[2]"]]
    for options in given:
        done = submit(prepared, *options, "clean")
        assert "packed" not in done.stderr
        assert "--archives" not in done.stdout.splitlines()
    done = submit(prepared, *given[0], "clean")
    assert "PYSPARK_PYTHON=/opt/env/bin/python" in done.stdout.splitlines()


def test_a_driver_on_a_node_has_the_same_python_as_executors(prepared: Path) -> None:
    done = submit(prepared, "--master=yarn", "--deploy-mode=cluster", "clean")
    words = done.stdout.splitlines()
    assert words[words.index("--deploy-mode") + 1] == "cluster"
    python = "./environment/bin/python"
    of_node = ("spark.pyspark.python", "spark.pyspark.driver.python", "spark.yarn.appMasterEnv.PYSPARK_DRIVER_PYTHON")
    assert {f"{name}={python}" for name in (*of_node, "PYSPARK_PYTHON")} <= set(words)
    # Here spark-submit finds its own Spark with it.
    assert f"PYSPARK_DRIVER_PYTHON={prepared}/.venv/bin/python" in words


def test_a_properties_file_says_where_to_run(prepared: Path) -> None:
    """Else this script's own master and memory would win over it."""
    file = prepared.parent / "cluster.conf"
    file.write_text("spark.master yarn\nspark.driver.memory=7g \n#spark.archives no.zip\nspark.archives: a.zip#a\n")
    words = submit(prepared, "--properties-file", str(file), "clean").stdout.splitlines()
    assert words[:4] == ["--master", "yarn", "--driver-memory", "7g"]
    assert words[words.index("--archives") + 1].endswith("#environment,a.zip#a")
    assert words[words.index("--properties-file") + 1] == str(file)
    over = submit(prepared, "--properties-file", str(file), "--conf", "spark.driver.memory=2g", "clean", MASTER="local")
    assert over.stdout.splitlines()[:4] == ["--master", "local", "--driver-memory", "2g"]


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        (["--master", "spark://host:7077", "--deploy-mode", "cluster"], "leave out --deploy-mode cluster"),
        (["--master", "spark://host:7077", "--conf", "spark.submit.deployMode=cluster"], "leave out --deploy-mode"),
        (["--master", "k8s://https://host", "--deploy-mode", "cluster"], "spark.kubernetes.file.upload.path=s3a://"),
        (["--deploy-mode", "cluster"], "give --master"),
        (["--properties-file", "no-such.conf"], "conf/cluster"),
    ],
)
def test_what_a_cluster_cannot_run_is_said_up_front(prepared: Path, options: list[str], mend: str) -> None:
    (prepared / "tools" / "setup.sh").write_text("#!/bin/sh\nexit 9\n")  # comes later
    refused = submit(prepared, *options, "clean")
    assert refused.returncode == 2
    assert mend in refused.stderr


def test_through_spark_connect_a_job_is_a_plain_process(prepared: Path) -> None:
    """And a server that is not there is said at once, not after minutes of trying."""
    for words, more in ((["--remote", "sc://127.0.0.1:1"], {}), ([], {"SPARK_REMOTE": "sc://127.0.0.1:1"})):
        done = submit(prepared, *words, "generate", "--set", f"workspace={prepared}/workspace", **more)
        assert done.returncode == 4, done.stderr
        assert "no server of Spark Connect answers there" in done.stderr
        assert "spark-submit" not in done.stdout
    refused = submit(prepared, "--remote=sc://127.0.0.1:1", "--conf", "a=b", "generate")
    assert refused.returncode == 2
    assert "under spark: in a settings file" in refused.stderr


def test_a_dry_run_starts_no_spark(prepared: Path) -> None:
    done = submit(prepared, "clean", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would read" in done.stdout


def test_the_zip_for_executors_holds_settings_and_jobs_and_follows_changes(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "attune")
    target = tmp_path / "attune.zip"
    pack = [sys.executable, str(checkout / "tools" / "pack.py"), str(target)]
    subprocess.run(pack, check=True)
    names = zipfile.ZipFile(target).namelist()
    assert {"attune/conf/base.yaml", "attune/jobs/clean.py", "attune/schemas.py", "attune/schemas.pyc"} <= set(names)
    first = target.stat().st_mtime_ns
    subprocess.run(pack, check=True)
    assert target.stat().st_mtime_ns == first
    (checkout / "lib" / "attune" / "new.py").write_text("ANSWER = 42\n")
    subprocess.run(pack, check=True)
    code = "import attune.new, attune.config as c; print(attune.new.__file__, attune.new.ANSWER, c.load(['demo']).seed)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(target)},
    )
    assert said.stdout == f"{target}/attune/new.pyc 42 7\n"


@pytest.mark.slow
def test_the_wheel_installs_with_settings_and_jobs_inside(tmp_path: Path) -> None:
    """On Databricks there is only the wheel, no checkout."""
    checkout = copy_of_checkout(tmp_path / "attune")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path / "dist", checkout], check=True)
    (wheel,) = (tmp_path / "dist").glob("attune-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", tmp_path / "site", wheel], check=True)
    shutil.rmtree(checkout)
    began = time.monotonic()
    for words in (["--help"], ["clean", "--dry-run", "--config", "online_retail"]):
        done = subprocess.run(
            [str(tmp_path / "site" / "bin" / "attune"), *words], capture_output=True, text=True, check=True,
            cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site"), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert "clean" in done.stdout
    assert time.monotonic() - began < 10
