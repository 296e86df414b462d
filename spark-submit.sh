#!/usr/bin/env bash
# Run a job of attune: ./spark-submit.sh [spark-submit options] JOB [job options]
# Makes the environment on the first use; what is missing on the machine is said, with exit status 4.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VENV=$HERE/.venv
source "$HERE/tools/machine.sh"

# The command line without Spark; a listing and the doctor need no environment either.
plain() {
  local python=$VENV/bin/python
  [[ -x $python ]] || python=$(find_python) || { require_machine; exit 4; }
  PYTHONPATH=$HERE/lib${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m attune "$@"
}

spark_options=() py_files=() master=${MASTER:-local[*,4]} memory=${SPARK_DRIVER_MEMORY:-3g}
while (($#)); do
  case $1 in
    -h | --help | --version) plain "$1" ;;
    --supervise | --verbose | -v) spark_options+=("$1"); shift ;;
    --master=*) master=${1#*=}; shift ;;
    --driver-memory=*) memory=${1#*=}; shift ;;
    --py-files=*) py_files=("${1#*=}"); shift ;;
    --remote=*) export SPARK_REMOTE=${1#*=}; shift ;;
    --*=*) spark_options+=("$1"); shift ;;
    -*)
      (($# > 1)) || { echo "spark-submit.sh: option $1 needs a value" >&2; exit 2; }
      case $1 in
        --master) master=$2 ;;
        --driver-memory) memory=$2 ;;
        --py-files) py_files=("$2") ;;
        --remote) export SPARK_REMOTE=$2 ;;
        *) spark_options+=("$1" "$2") ;;
      esac
      shift 2
      ;;
    *) break ;;
  esac
done
(($#)) || plain --help
job=$1
shift

if [[ $job == doctor || $job == _* || ! -f $HERE/jobs/$job.py && $job != tables && $job != why ]]; then plain "$job" "$@"; fi
"$HERE/tools/setup.sh"
if [[ $job == tables || $job == why ]]; then plain "$job" "$@"; fi
for argument; do
  case $argument in -h | --help | --dry-run) plain "$job" "$@" ;; esac
done
if [[ -n ${SPARK_REMOTE:-} ]]; then # Spark Connect: its client is a plain Python process, and takes no options of spark-submit
  if ((${#spark_options[@]} + ${#py_files[@]})); then
    echo "spark-submit.sh: with --remote, Spark's settings go under spark: in a settings file, not on the command line" >&2
    exit 2
  fi
  export SPARK_CONF_DIR=${SPARK_CONF_DIR:-$HERE/conf}
  if [[ $SPARK_REMOTE == local* ]]; then export SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1} SPARK_DRIVER_MEMORY=$memory; fi
  unset SPARK_HOME
  plain "$job" "$@"
fi
find_java >/dev/null || { require_machine; exit 4; }

zip=$VENV/attune.zip
"$VENV/bin/python" -S "$HERE/tools/pack.py" "$zip"
export PYSPARK_DRIVER_PYTHON=$VENV/bin/python PYSPARK_PYTHON=${PYSPARK_PYTHON:-$VENV/bin/python}
export PATH=$VENV/bin:$PATH
export SPARK_CONF_DIR=${SPARK_CONF_DIR:-${SPARK_HOME:-$HERE}/conf}
unset SPARK_HOME # another Spark; the environment brings its own
if [[ $master == local* ]]; then export SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1}; fi
# As in lib/attune/session.py; here, since the driver's Java has started before that is read.
exec "$VENV/bin/spark-submit" --master "$master" --driver-memory "$memory" \
  --conf spark.driver.extraJavaOptions=-XX:-DontCompileHugeMethods \
  --py-files "$(IFS=,; echo "$zip${py_files[*]:+,${py_files[*]}}")" \
  ${spark_options[@]+"${spark_options[@]}"} "$HERE/jobs/$job.py" "$@"
