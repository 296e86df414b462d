#!/usr/bin/env bash
# Makes build/airflow, an environment of Airflow's own (its packages and attune's do not fit together), with the pinned versions.
# Does nothing where it was made from the same files. Exit status 4: pip cannot install, such as without a network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/machine.sh

ENVIRONMENT=$PWD/build/airflow
PINS=tools/airflow-constraints.txt

fingerprint() { { echo "$PWD"; cat "$PINS" tools/airflow.sh; } | sha256sum; }

mkdir -p build
exec 9>build/airflow.lock
flock 9
[[ "$(cat "$ENVIRONMENT/stamp" 2>/dev/null)" != "$(fingerprint)" ]] || exit 0
python=$(find_python) || { require_machine; exit 4; }
echo "installing Airflow into $ENVIRONMENT (once; about a minute)" >&2
rm -rf "$ENVIRONMENT"
"$python" -m venv "$ENVIRONMENT"
"$ENVIRONMENT/bin/python" -m pip --disable-pip-version-check --no-input install -q -c "$PINS" apache-airflow ||
  { echo "Airflow cannot be installed: see the lines above" >&2; exit 4; }
fingerprint >"$ENVIRONMENT/stamp"
