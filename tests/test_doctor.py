"""Known conflicts are found and each mend is named; a sound machine gets no problem."""

from dataclasses import replace

import pytest

from attune import doctor
from attune.doctor import diagnose, render
from attune.machine import PACKAGES, Facts, numbers

SOUND = Facts(
    python="3.11.7",
    java="17.0.15",
    packages=dict.fromkeys(PACKAGES, "1.0")
    | {"pyspark": "4.0.5", "pyarrow": "14.0.2", "numpy": "1.26.4", "pandas": "2.3.3", "petastorm": "0.12.1"}
    | {"torch": "2.13.0+cpu", "horovod": "0.28.1", "setuptools": "84.2.1"},
    horovod_torch="2.13.0+cpu",
    cores=2,
    memory_gib=23.5,
    hub=True,
)


def with_packages(**versions: str | None) -> Facts:
    return replace(SOUND, packages=SOUND.packages | versions)


def test_a_sound_machine_has_no_findings() -> None:
    assert diagnose(SOUND) == []
    assert diagnose(replace(SOUND, java="21.0.2")) == []


@pytest.mark.parametrize(
    ("facts", "what", "mend"),
    [
        (with_packages(pandas="3.0.1"), "pandas 3.0.1", "pandas<3"),
        (with_packages(numpy="2.1.0"), "numpy 2.1.0", "numpy<2"),
        (with_packages(petastorm="0.13.1"), "setuptools below 70", "petastorm==0.12.1"),
        (with_packages(pyspark="4.1.0"), "PySpark 4.1.0", "pyspark==4.0"),
        (with_packages(horovod=None), "Horovod is not installed", "tools/setup.sh"),
        (with_packages(torch="2.14.0+cpu"), "built for torch 2.13.0+cpu, installed is 2.14.0+cpu", "tools/setup.sh"),
        (with_packages(deltalake=None, transformers=None), "not installed: transformers, deltalake", "tools/setup.sh"),
        (replace(SOUND, horovod_error="OSError: libcuda.so.1"), "libcuda.so.1", "remove .venv"),
        (replace(SOUND, horovod_torch=None, horovod_error="ImportError: not built"), "without torch", "remove .venv"),
        (replace(SOUND, java=None), "no Java", "openjdk-17-jre-headless"),
        (replace(SOUND, java="11.0.2"), "Java 11.0.2", "openjdk-17-jre-headless"),
        (replace(SOUND, java="1.8.0_392"), "Java 1.8.0_392", "JAVA_HOME"),
        (replace(SOUND, python="3.12.1"), "Python 3.12.1", "python3.11-venv"),
        (replace(with_packages(pyspark="3.5.9"), java="21.0.2"), "Java 21.0.2", "openjdk-17-jre-headless"),
        (replace(with_packages(deltalake=None), databricks="15.4"), "not installed: deltalake", "the wheel of attune"),
    ],
)
def test_a_conflict_is_a_problem_with_its_mend(facts: Facts, what: str, mend: str) -> None:
    (finding,) = (found for found in diagnose(facts) if found.problem)
    assert what in finding.what
    assert mend in finding.mend


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        (with_packages(pyarrow="15.0.0"), "training reads its rows with pyarrow: pyarrow is 15.0.0"),
        (with_packages(petastorm=None), "training reads its rows with pyarrow: petastorm is not installed"),
        (replace(SOUND, hub=False), "does not answer"),
        (replace(SOUND, hub=None), "switched off"),
        (replace(SOUND, gpus=("NVIDIA H200",)), "torch was built for CPUs"),
        (replace(SOUND, gpus=("NVIDIA H200",), torch_cuda="13.0"), "without NCCL"),
        (replace(SOUND, memory_gib=3.7), "3.7 GiB of memory"),
        (replace(SOUND, spark_home="/opt/spark"), "/opt/spark"),
        (with_packages(pyspark="3.4.4"), "Spark 3.4.4 is none that attune is tested on (3.5, 4.0, 4.1)"),
        (
            replace(SOUND, spark_remote="sc://cluster:443/;token=key"),
            "Spark Connect (SPARK_REMOTE is sc://cluster:443)",
        ),
        (replace(SOUND, databricks="client.3", java=None), "Databricks' serverless compute"),
        (replace(SOUND, databricks="16.4", python="3.12.3"), "Python 3.12.3 of Databricks 16.4"),
        (replace(with_packages(horovod=None), databricks="16.4"), "Databricks 16.4 has no Horovod"),
    ],
)
def test_what_only_slows_or_limits_is_a_note(facts: Facts, what: str) -> None:
    (finding,) = diagnose(facts)
    assert not finding.problem
    assert what in finding.what


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (SOUND, "Spark 4.0: petastorm, Horovod"),
        (with_packages(pyspark="3.5.9"), "Spark 3.5: petastorm, Horovod"),
        (with_packages(pyspark="4.1.4", pyarrow="24.0.0"), "Spark 4.1: pyarrow reader, Horovod"),
        (replace(with_packages(pyspark="3.5.2"), databricks="15.4"), "Databricks 15.4, Spark 3.5: petastorm, Horovod"),
        (with_packages(petastorm=None, horovod=None), "Spark 4.0: pyarrow reader, TorchDistributor"),
        (replace(SOUND, spark_remote="local[2]"), "Spark 4.0 through Spark Connect: petastorm, trains in one process"),
        (with_packages(pyspark=None), "Spark absent: petastorm, Horovod"),
    ],
)
def test_it_says_which_lane_a_platform_is_in(facts: Facts, line: str) -> None:
    assert f"lane                 {line}\n" in render(facts, [])


@pytest.mark.parametrize(
    "facts",
    [
        with_packages(pyspark="3.5.9"),
        replace(with_packages(pyspark="3.5.2"), databricks="15.4", java="1.8.0_412"),
        replace(SOUND, databricks="17.3"),
    ],
)
def test_other_lanes_are_sound_too(facts: Facts) -> None:
    assert diagnose(facts) == []


def test_no_token_is_told() -> None:
    facts = replace(SOUND, spark_remote="sc://cluster:443/;token=key")
    assert "key" not in render(facts, diagnose(facts))


def test_a_cuda_build_of_torch_without_a_gpu_is_fine() -> None:
    assert diagnose(replace(SOUND, torch_cuda="13.0")) == []


def test_problems_come_first_and_are_counted() -> None:
    facts = replace(with_packages(pandas="3.0.1"), hub=False)
    text = render(facts, diagnose(facts))
    assert text.index("PROBLEM") < text.index("note ")
    assert text.endswith("1 problem")
    assert "pandas               3.0.1" in text


def test_it_says_what_training_reads_with_and_why() -> None:
    assert "training reads with  petastorm (pyarrow 14.0.2 is below 15)" in render(SOUND, [])
    assert "training reads with  pyarrow (petastorm is not installed)" in render(with_packages(petastorm=None), [])


def test_numbers_of_versions() -> None:
    assert numbers("17.0.15") == (17, 0, 15)
    assert numbers("0.28.1.post3") == (0, 28, 1)
    assert numbers(None) is None
    assert numbers("unknown") is None


@pytest.mark.parametrize(
    ("facts", "status"), [(SOUND, 0), (replace(SOUND, hub=False), 0), (replace(SOUND, java=None), 4)]
)
def test_exit_status(
    facts: Facts, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "gather", lambda: facts)
    assert doctor.main([]) == status
    assert capsys.readouterr().out


@pytest.mark.slow
def test_this_environment_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that the set-up makes has no known conflict, Horovod included."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    facts = doctor.gather()
    assert [finding for finding in diagnose(facts) if finding.problem] == []
    assert facts.horovod_torch == facts.packages["torch"]
