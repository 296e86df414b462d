"""What the cluster tests share: a standalone cluster, and a shop that it has worked on. Outcomes are kept as a result."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.shop import Shop, arguments
from cluster.standalone import ROOT, Cluster
from kept import Kept
from models.tiny_bert import write_tiny_bert


def pytest_configure(config: pytest.Config) -> None:
    """Keep outcomes when the cluster tests are asked for."""
    if any("cluster" in argument for argument in config.args):
        config.pluginmanager.register(Kept(Path(__file__).parent, ("pyspark", "torch", "horovod", "deltalake")))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers of one core each, on loopback."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Settings of a small demo shop, without its workspace."""
    return {
        "generate.num_events": 8000, "train.encoder": write_tiny_bert(tmp_path_factory.mktemp("tiny") / "encoder"),
        "train.launcher": "horovod", "train.num_ranks": 2, "train.sentiment.epochs": 4,
        "train.sentiment.max_tokens": 64, "train.sentiment.learning_rate": 3e-3, "train.sentiment.min_accuracy": 0.5,
        "recommend.als.grid": "[{rank: 8, reg: 0.1, alpha: 10}]", "evaluate.bootstrap_samples": 50,
        "clean.max_quarantine_share": 0.3, "generate.dirty_share": 0.1,
        "score.precision": "float32",  # int8 scales by the largest value of a batch, and which texts share one is left open
    }  # fmt: skip


@pytest.fixture(scope="session")
def shop(cluster: Cluster, settings: dict[str, object]) -> Shop:
    """The pipeline on the cluster, whose nodes get the packages with the job."""
    workspace = cluster.folder / "shop"
    job = cluster.submit("pipeline", *arguments(settings | {"workspace": workspace}))
    assert job.wait() == 0, job.told()
    cluster.clear()
    return Shop(workspace, job)


@pytest.fixture(scope="session")
def node_python(shop: Shop, cluster: Cluster) -> str:
    """Python of an environment that lies on the nodes: then none goes with the job."""
    folder = cluster.folder / "node" / "environment"
    with tarfile.open(ROOT / ".venv" / "environment.tar.gz") as packed:
        packed.extractall(folder, filter="data")
    return str(folder / "bin" / "python")
