#!/usr/bin/env bash
# Makes .venv, or mends it: packages as pinned in constraints.txt, and Horovod, built once for each user and torch.
# Does nothing where .venv was made from the same files. Exit status 4: something is missing on the machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
source tools/machine.sh

VENV=$ROOT/.venv
LOG=$ROOT/build/setup.log
CACHE=${ATTUNE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/attune}/wheels
STEPS=4
began=$SECONDS
child=

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "set-up failed: $1"
  [[ -s $LOG ]] && { say "last lines of $LOG:"; tail -n 15 "$LOG" | sed 's/^/    /' >&2; }
  exit 4
}

stop() {
  [[ -z $child ]] || kill -- "-$child" 2>/dev/null || true
  say; say "set-up stopped; the next start goes on from here"
  exit 130
}
trap stop INT TERM

# What .venv is made from; the folder belongs to it, since scripts in .venv hold its path.
fingerprint() { { echo "$ROOT"; cat constraints.txt setup.py tools/setup.sh tools/cxx17; } | sha256sum; }

# Run a command with its output in the log, and the time it takes on the terminal.
step() {
  local number=$1 what=$2 start=$SECONDS
  shift 2
  say "[$number/$STEPS] $what"
  printf '\n== [%s/%s] %s\n' "$number" "$STEPS" "$what" >>"$LOG"
  set -m # a process group of its own, so that stopping ends pip and the compiler, too
  "$@" >>"$LOG" 2>&1 </dev/null &
  child=$!
  set +m
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.5
    if [[ -t 2 ]]; then
      printf '\r      %4d s  %-70.70s' $((SECONDS - start)) "$(tail -n 1 "$LOG" | tr -cd '[:print:]')" >&2
    elif (((SECONDS - start) % 30 == 29)); then
      say "      $((SECONDS - start)) s"; sleep 1
    fi
  done
  [[ ! -t 2 ]] || printf '\r%-90s\r' '' >&2
  wait "$child" || { child=; fail "$what"; }
  child=
  say "      done in $((SECONDS - start)) s"
}

pip() { "$VENV/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

make_venv() {
  if [[ -e $VENV/broken ]] || ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
    rm -rf "$VENV"
    "$(find_python)" -m venv "$VENV"
  fi
  pip install -c constraints.txt pip setuptools wheel
}

install_packages() {
  # torch exactly, and first: a range would let pip choose a build with gigabytes of CUDA packages.
  pip install -c constraints.txt "$(pin torch)"
  pip install -c constraints.txt --no-build-isolation -e '.[dev]'
}

# The wheel for this torch, Python and accelerator comes from the cache; it is built where there is none yet.
install_horovod() {
  local key folder wheel
  key=$(pin horovod | sed s/==/-/)-$("$VENV/bin/python" tools/build_key.py)-$(accelerator "$VENV/bin/python")
  folder=$CACHE/$key
  mkdir -p "$folder"
  exec 8>"$folder/lock"
  flock 8
  compgen -G "$folder/*.whl" >/dev/null || build_horovod "$folder"
  exec 8>&-
  wheel=$(compgen -G "$folder/*.whl" | head -n 1)
  # The same version may be there, built for another torch.
  if [[ "$(cat "$VENV/horovod-wheel" 2>/dev/null)" != "$wheel" ]] || ! "$VENV/bin/python" -c 'import horovod.torch'; then
    pip install -c constraints.txt --no-deps --force-reinstall "$wheel"
    pip install -c constraints.txt "$(pin horovod)"
    echo "$wheel" >"$VENV/horovod-wheel"
  fi
}

build_horovod() {
  local gpu=() building
  require_compiler "$VENV/bin/python"
  [[ "$(accelerator "$VENV/bin/python")" == cpu ]] || gpu=(HOROVOD_GPU_OPERATIONS=NCCL)
  rm -rf "$1"/building.*
  building=$(mktemp -d "$1/building.XXXXXX")
  env "${gpu[@]}" CXX="$ROOT/tools/cxx17" HOROVOD_WITH_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 \
    HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_GLOO=1 HOROVOD_CMAKE="$(command -v cmake)" \
    CMAKE_POLICY_VERSION_MINIMUM=3.5 PATH="$VENV/bin:$PATH" \
    "$VENV/bin/python" -m pip --disable-pip-version-check --no-input -v wheel -c constraints.txt --no-deps \
    --no-build-isolation --no-cache-dir --no-binary horovod -w "$building" "$(pin horovod)"
  mv "$building"/*.whl "$1/"
  rm -rf "$building"
}

# An interrupted pip can leave half a package behind; then the next start makes .venv anew.
check_environment() {
  touch "$VENV/broken"
  pip check
  "$VENV/bin/python" -c 'import attune, deltalake, horovod.torch, lightgbm, petastorm, pyspark, transformers'
  rm "$VENV/broken"
}

pin() { grep -E "^$1==" constraints.txt; }

main() {
  require_machine || exit 4
  mkdir -p build
  exec 9>build/setup.lock
  flock -n 9 || { say "another set-up of this checkout is running; waiting for it"; flock 9; }
  [[ "$(cat "$VENV/stamp" 2>/dev/null)" != "$(fingerprint)" ]] || exit 0
  : >"$LOG"
  say "setting up $VENV (once; details in $LOG)"
  rm -f "$VENV/stamp"
  step 1 "Python environment" make_venv
  step 2 "packages" install_packages
  step 3 "Horovod: built once (2 to 6 minutes), then taken from $CACHE" install_horovod
  step 4 "trial imports" check_environment
  fingerprint >"$VENV/stamp"
  say "set-up done in $((SECONDS - began)) s"
}

case ${1:-} in
  "") [[ "$(cat "$VENV/stamp" 2>/dev/null)" == "$(fingerprint)" ]] || main ;;
  --check) [[ "$(cat "$VENV/stamp" 2>/dev/null)" == "$(fingerprint)" ]] ;;
  *) say "usage: tools/setup.sh [--check]"; exit 2 ;;
esac
