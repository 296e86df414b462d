"""The packed environment: what executors import on nodes that have a Python and nothing else."""

import importlib.util
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "pack_environment.py"
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pack_environment", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment with a package, a tool of developers, and what nodes have no use for."""
    site = tmp_path / "venv" / "lib" / f"python{VERSION}" / "site-packages"
    files = {
        "shop/__init__.py": "import json\nANSWER = 42\n", "shop/tests/test_shop.py": "", "torch/lib/libtorch.so": "x",
        "torch/include/torch.h": "", "pyspark/jars/spark.jar": "", "__editable__.attune-0.1.0.pth": "/home/me/attune/lib",
        "json.py": "raise ImportError('the standard library comes first')", "ruff/__init__.py": "",
        "ruff-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: ruff\nVersion: 1.0\n",
        "ruff-1.0.dist-info/RECORD": "ruff/__init__.py,,\nruff-1.0.dist-info/METADATA,,\nruff-1.0.dist-info/RECORD,,\n",
    }  # fmt: skip
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    (site / "shop" / "link.py").symlink_to("__init__.py")
    return tmp_path / "venv"


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def run(folder: Path, code: str, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    command = ["./bin/python", "-c", code]
    environment = {"PATH": path, "PYTHONNOUSERSITE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_only_what_executors_need_is_packed(tool: ModuleType, venv: Path, tmp_path: Path) -> None:
    assert tool.pack(venv, tmp_path / "environment.tar.gz")
    folder = unpacked(tmp_path / "environment.tar.gz", tmp_path / "node")
    site = folder / "lib" / f"python{VERSION}" / "site-packages"
    found = {str(path.relative_to(site)) for path in site.rglob("*") if not path.is_dir()}
    assert found == {"shop/__init__.py", "shop/link.py", "torch/lib/libtorch.so", "json.py"}
    assert (site / "shop" / "link.py").is_symlink()


def test_the_nodes_python_has_the_packages_and_so_have_its_children(
    tool: ModuleType, venv: Path, tmp_path: Path
) -> None:
    """A Horovod rank is a child that is started with sys.executable."""
    tool.pack(venv, tmp_path / "environment.tar.gz")
    folder = unpacked(tmp_path / "environment.tar.gz", tmp_path / "node")
    search = os.pathsep.join([str(Path(sys.base_prefix) / "bin"), os.defpath])
    child = "import shop, sys; print(sys.executable, shop.ANSWER, shop.__file__)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    done = run(folder, code, search)
    assert done.returncode == 0, done.stderr
    executable, answer, file = done.stdout.split()
    assert Path(executable) == folder / "bin" / "python"
    assert answer == "42"
    assert Path(file).is_relative_to(folder)


def test_a_node_without_this_python_says_so(tool: ModuleType, venv: Path, tmp_path: Path) -> None:
    (venv / "lib" / f"python{VERSION}").rename(venv / "lib" / "python3.99")
    tool.pack(venv, tmp_path / "environment.tar.gz")
    refused = run(unpacked(tmp_path / "environment.tar.gz", tmp_path / "node"), "")
    assert refused.returncode == 4
    assert "has no Python 3.99: install python3.99 there, or set PYSPARK_PYTHON" in refused.stderr


def test_it_is_packed_once_and_again_after_a_change(tool: ModuleType, venv: Path, tmp_path: Path) -> None:
    archive = tmp_path / "environment.tar.gz"
    assert tool.pack(venv, archive)
    assert not tool.pack(venv, archive)
    (site,) = venv.glob("lib/*/site-packages")
    (site / "new.py").write_text("")
    assert tool.pack(venv, archive)
    archive.unlink()
    assert tool.pack(venv, archive)
