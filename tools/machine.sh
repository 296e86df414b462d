# shellcheck shell=bash
# What the machine has and lacks. Sourced by setup.sh and spark-submit.sh.

# A Python 3.11 that can make environments; PYTHON wins.
find_python() {
  local python
  for python in ${PYTHON:+"$PYTHON"} python3.11 python3; do
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  return 1
}

find_java() { command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java"; }

java_major() { "$(find_java)" -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1; }

# Say what is missing, with the Debian and Ubuntu packages that bring it. Arguments: lines of "package: what for".
report_missing() {
  local line packages=()
  (($#)) || return 0
  {
    echo "missing on this machine:"
    for line in "$@"; do
      echo "    ${line#*: } (${line%%: *})"
      packages+=("${line%%: *}")
    done
    echo "mend: sudo apt-get install -y ${packages[*]}"
  } >&2
  return 4
}

require_machine() {
  local missing=() python java=
  if python=$(find_python); then
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=("python3.11-venv: Python's venv module")
  else
    missing+=("python3.11-venv: Python 3.11")
  fi
  [[ -z ${python:-} ]] || "$python" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null ||
    missing+=("libgomp1: OpenMP runtime")
  ! find_java >/dev/null || java=$(java_major)
  [[ $java == 17 || $java == 21 ]] || missing+=("openjdk-17-jre-headless: Java 17 or 21${java:+, found $java}")
  # Said now rather than after minutes: Horovod's build needs them unless a wheel is cached.
  if ! compgen -G "${ATTUNE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/attune}/wheels/*/*.whl" >/dev/null; then
    mapfile -t -O "${#missing[@]}" missing < <(missing_for_build "${python:-}")
  fi
  report_missing "${missing[@]}"
}

require_compiler() {
  local missing
  mapfile -t missing < <(missing_for_build "$1")
  report_missing "${missing[@]}"
}

missing_for_build() {
  local include
  command -v "${ATTUNE_CXX:-g++}" >/dev/null || echo "g++: C++ compiler"
  command -v cmake >/dev/null || echo "cmake: CMake"
  command -v make >/dev/null || echo "make: make"
  [[ -z $1 ]] || include=$("$1" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
  [[ -n $1 && -f $include/Python.h ]] || echo "python3.11-dev: Python's C headers"
}

# What Horovod is built for: cuda and the version of torch's, where the compiler, NCCL and such a torch are all there; else cpu.
accelerator() {
  local cuda header found=
  cuda=$("$1" -c 'import torch; print((torch.version.cuda or "").replace(".", ""))')
  for header in "${HOROVOD_NCCL_HOME:-/usr}" "${NCCL_HOME:-/usr}" "${CUDA_HOME:-/usr/local/cuda}"; do
    [[ ! -f $header/include/nccl.h ]] || found=1
  done
  if [[ -n $cuda && -n $found ]] && command -v nvcc >/dev/null; then echo "cuda$cuda"; else echo cpu; fi
}
