"""``attune doctor``: what is installed, what does not fit together, and what mends it. Needs the standard library only."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from attune import __version__
from attune.columns import aligned
from attune.errors import MissingError
from attune.machine import LANES, PACKAGES, Facts, gather, lane, numbers, parquet_reader

_SET_UP = "run tools/setup.sh"
_ONE_PROCESS = "train with --set train.launcher=single"


@dataclass(frozen=True)
class Finding:
    """Something to know: a problem stops jobs, a note does not."""

    problem: bool
    what: str
    mend: str


Rule = Callable[[Facts], Finding | None]


def _python(facts: Facts) -> Finding | None:
    version = (numbers(facts.python) or ())[:2]
    if version == (3, 11):
        return None
    if facts.databricks and version in ((3, 10), (3, 12)):
        return Finding(
            False,
            f"Python {facts.python} of Databricks {facts.databricks}, where attune is tested on 3.11",
            "nothing needs to be done; runtime 15.4 LTS has Python 3.11",
        )
    return Finding(
        True, f"Python {facts.python}, where the packages fit together on 3.11", "install python3.11-venv; " + _SET_UP
    )


def _java(facts: Facts) -> Finding | None:
    if facts.serverless or (facts.spark_remote or "").startswith("sc://"):
        return None  # Spark runs elsewhere
    if facts.java is None:
        return Finding(True, "no Java", "apt-get install openjdk-17-jre-headless, or set JAVA_HOME")
    found = numbers(facts.java) or (0,)
    major = found[1] if found[0] == 1 and len(found) > 1 else found[0]  # Java 8 calls itself 1.8
    fitting = (8, 11, 17) if (facts.version("pyspark") or (4,)) < (4,) else (17, 21)
    if major not in fitting:
        return Finding(
            True,
            f"Java {facts.java}, where Spark needs {' or '.join(map(str, fitting))}",
            "apt-get install openjdk-17-jre-headless; set JAVA_HOME to it",
        )
    return None


def _packages(facts: Facts) -> Finding | None:
    elsewhere = ("horovod", "petastorm")  # training goes on without them
    absent = [name for name in PACKAGES if facts.packages.get(name) is None and name not in elsewhere]
    mend = "install the wheel of attune as a library of the cluster" if facts.databricks else _SET_UP
    return Finding(True, f"not installed: {', '.join(absent)}", mend) if absent else None


def _petastorm_pyarrow(facts: Facts) -> Finding | None:
    reader, why = parquet_reader(facts.version("petastorm"), facts.version("pyarrow"))
    if reader == "petastorm" or facts.version("pyarrow") is None:
        return None
    mend = "nothing needs to be done; for petastorm pip install petastorm==0.12.1 'pyarrow<15' 'numpy<2'"
    return Finding(False, f"training reads its rows with pyarrow: {why}", mend)


def _petastorm_setuptools(facts: Facts) -> Finding | None:
    if (facts.version("petastorm") or (0,)) >= (0, 13) and (facts.version("torch") or (0,)) >= (2, 13):
        return Finding(
            True,
            f"petastorm {facts.packages['petastorm']} wants setuptools below 70, torch {facts.packages['torch']} a newer one",
            "pip install petastorm==0.12.1",
        )
    return None


def _pandas_pyspark(facts: Facts) -> Finding | None:
    if (facts.version("pandas") or (0,)) >= (3,) and (facts.version("pyspark") or (9,)) < (4, 1):
        return Finding(
            True,
            f"pandas {facts.packages['pandas']}, where PySpark {facts.packages['pyspark']} needs one below 3",
            "pip install 'pandas<3'",
        )
    return None


def _numpy(facts: Facts) -> Finding | None:
    if (facts.version("numpy") or (0,)) >= (2,) and (facts.version("pyarrow") or (99,)) < (16,):
        return Finding(
            True,
            f"numpy {facts.packages['numpy']}, where pyarrow {facts.packages['pyarrow']} was built for numpy 1",
            "pip install 'numpy<2'",
        )
    return None


def _pyspark_pyarrow(facts: Facts) -> Finding | None:
    if (facts.version("pyspark") or (0,)) >= (4, 1) and (facts.version("pyarrow") or (99,)) < (15,):
        return Finding(
            True,
            f"PySpark {facts.packages['pyspark']} needs pyarrow 15 or later, installed is {facts.packages['pyarrow']}",
            "pip install 'pyspark==4.0.*', or 'pyarrow>=15': training then reads with pyarrow, not petastorm",
        )
    return None


def _horovod(facts: Facts) -> Finding | None:
    if facts.serverless or facts.spark_remote is not None:
        return None
    if facts.packages.get("horovod") is None and facts.databricks:
        return Finding(
            False,
            f"Databricks {facts.databricks} has no Horovod; the last ML runtime with it is 15.4 LTS",
            "train with --set train.launcher=torch, or on an ML runtime up to 15.4 LTS",
        )
    if facts.packages.get("horovod") is None:
        return Finding(True, "Horovod is not installed", f"{_SET_UP}, or {_ONE_PROCESS}")
    if facts.horovod_torch and facts.packages.get("torch") and facts.horovod_torch != facts.packages["torch"]:
        return Finding(
            True,
            f"Horovod was built for torch {facts.horovod_torch}, installed is {facts.packages['torch']}",
            f"{_SET_UP}: it builds Horovod for this torch, too",
        )
    if facts.horovod_torch is None and facts.horovod_error:
        return Finding(True, f"Horovod was built without torch: {facts.horovod_error}", f"remove .venv and {_SET_UP}")
    if facts.horovod_error:
        return Finding(True, f"Horovod cannot be imported: {facts.horovod_error}", f"remove .venv and {_SET_UP}")
    return None


def _untested_spark(facts: Facts) -> Finding | None:
    spark = facts.version("pyspark")
    if spark is None or spark[:2] in LANES:
        return None
    tested = ", ".join(f"{major}.{minor}" for major, minor in LANES)
    return Finding(
        False,
        f"Spark {facts.packages['pyspark']} is none that attune is tested on ({tested})",
        f"pip install 'pyspark=={max(LANES)[0]}.{max(LANES)[1]}.*'",
    )


def _connect(facts: Facts) -> Finding | None:
    if not facts.serverless and facts.spark_remote is None:
        return None
    why = f"SPARK_REMOTE is {_address(facts.spark_remote)}" if facts.spark_remote else "Databricks' serverless compute"
    return Finding(
        False,
        f"sessions are of Spark Connect ({why}): Horovod and TorchDistributor cannot start ranks",
        f"{_ONE_PROCESS}; inputs with a time_zone need a session without Connect, too",
    )


def _address(remote: str) -> str:
    """The server without what follows it: a token may stand there."""
    return remote.partition(";")[0].rstrip("/")


def _gpu(facts: Facts) -> Finding | None:
    if not facts.gpus:
        return None
    if facts.torch_cuda is None and facts.version("torch"):
        return Finding(
            False, "a GPU is here, but torch was built for CPUs", "pip install a CUDA build of torch 2.13.0; " + _SET_UP
        )
    if not facts.horovod_nccl and facts.version("horovod"):
        missing = "" if facts.nccl_header else "apt-get install libnccl-dev and the CUDA compiler nvcc; "
        return Finding(
            False,
            "a GPU is here, but Horovod was built without NCCL: gradients go through the CPU",
            f"{missing}remove .venv and {_SET_UP}",
        )
    return None


def _memory(facts: Facts) -> Finding | None:
    if 0 < facts.memory_gib < 7:
        return Finding(
            False, f"{facts.memory_gib:.1f} GiB of memory; the demo needs up to 8", "export SPARK_DRIVER_MEMORY=2g"
        )
    return None


def _hub(facts: Facts) -> Finding | None:
    if facts.hub:
        return None
    why = "is switched off (HF_HUB_OFFLINE)" if facts.hub is None else "does not answer"
    return Finding(
        False,
        f"the model hub {why}; the packaged encoder needs none",
        "for another one set train.encoder to a local folder",
    )


def _spark_home(facts: Facts) -> Finding | None:
    if facts.spark_home:
        return Finding(
            False,
            f"SPARK_HOME is {facts.spark_home}; ./spark-submit.sh uses the environment's own Spark",
            "unset SPARK_HOME",
        )
    return None


RULES: tuple[Rule, ...] = (
    _python, _java, _packages, _petastorm_pyarrow, _petastorm_setuptools, _pandas_pyspark, _numpy, _pyspark_pyarrow,
    _untested_spark, _connect, _horovod, _gpu, _memory, _hub, _spark_home,
)  # fmt: skip


def diagnose(facts: Facts) -> list[Finding]:
    """What the rules find, problems first."""
    found = [finding for rule in RULES if (finding := rule(facts))]
    return sorted(found, key=lambda finding: not finding.problem)


def render(facts: Facts, findings: list[Finding]) -> str:
    """The facts as a table, then each finding with its mend."""
    built = (
        f" for torch {facts.horovod_torch}, {'NCCL' if facts.horovod_nccl else 'gloo'}" if facts.horovod_torch else ""
    )
    notes = {"horovod": built, "torch": f", CUDA {facts.torch_cuda}" if facts.torch_cuda else ""}
    rows = [
        ("attune", __version__),
        ("lane", lane(facts)),
        ("python", facts.python),
        ("java", facts.java or "absent"),
        *((name, f"{facts.packages.get(name) or 'absent'}{notes.get(name, '')}") for name in PACKAGES),
        (
            "training reads with",
            "{} ({})".format(*parquet_reader(facts.version("petastorm"), facts.version("pyarrow"))),
        ),
        ("cores", str(facts.cores)),
        ("memory", f"{facts.memory_gib:.1f} GiB"),
        ("gpu", ", ".join(facts.gpus) or "none"),
        ("bfloat16", "native" if facts.bfloat16 else "not native on this processor"),
    ]
    lines = [aligned(rows, indent=0), ""]
    for finding in findings:
        lines += [f"{'PROBLEM' if finding.problem else 'note':<8} {finding.what}", f"{'mend:':>8} {finding.mend}"]
    problems = sum(finding.problem for finding in findings)
    lines.append(f"{problems} problem{'s' * (problems != 1)}" if problems else "no problems")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """The command line of the doctor; exit status 0, or 4 where there is a problem."""
    description = "Check this machine and environment, and name the mend of what is wrong. Exit status 4: a problem."
    argparse.ArgumentParser(prog="attune doctor", description=description).parse_args(argv)
    facts = gather()
    findings = diagnose(facts)
    print(render(facts, findings))
    return MissingError.exit_status if any(finding.problem for finding in findings) else 0
