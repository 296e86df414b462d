"""Print what a Horovod wheel is built for: the torch version, the Python tag and the machine."""

import platform
import sys

import torch

print(f"torch-{torch.__version__}-cp{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}")
