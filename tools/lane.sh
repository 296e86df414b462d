#!/usr/bin/env bash
# Runs every job, small, on another Spark than the environment's: tools/lane.sh LANE [arguments of pytest]
# 3.5, 4.1: the packages of a lane lie in build/lane-LANE, before those of .venv on the path; they are fetched once and after a
# change. connect: the Spark of .venv through a server of Spark Connect; connect-4.1: that of lane 4.1. Exit status 4: the
# packages cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-$PWD/.venv/bin/python}

lane=${1:-}
spark=${lane#connect-}
case $spark in
  3.5) packages=(pyspark==3.5.9 py4j==0.10.9.7) ;;
  # pyarrow 26 needs NumPy 2, which the pyarrow of petastorm does not run with.
  4.1) packages=(pyspark==4.1.4 py4j==0.10.9.9 pyarrow==25.0.1) ;;
  connect) packages=() ;;
  *) echo "usage: tools/lane.sh 3.5 | 4.1 | connect | connect-4.1 [arguments of pytest]" >&2; exit 2 ;;
esac
shift

overlay=$PWD/build/lane-$spark
if ((${#packages[@]})) && [[ "$(cat "$overlay/packages" 2>/dev/null)" != "${packages[*]}" ]]; then
  echo "fetching ${packages[*]} into $overlay" >&2
  rm -rf "$overlay" "$overlay".new
  "$PYTHON" -m pip --disable-pip-version-check --no-input install -q --no-deps --no-build-isolation --no-compile \
    --target "$overlay.new" "${packages[@]}" || { echo "mend: the network is needed once for ${packages[*]}" >&2; exit 4; }
  echo "${packages[*]}" >"$overlay.new/packages"
  mv "$overlay.new" "$overlay"
fi

unset SPARK_HOME SPARK_REMOTE MASTER
export ATTUNE_LANE=$lane SPARK_LOCAL_IP=127.0.0.1 PYSPARK_PYTHON=$PYTHON
export PYTHONPATH=$overlay:$PWD/lib${PYTHONPATH:+:$PYTHONPATH}
(($#)) || set -- tests/lanes -q
exec "$PYTHON" -m pytest "$@"
