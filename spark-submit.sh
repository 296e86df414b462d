#!/usr/bin/env bash
# Run a job of attune: ./spark-submit.sh [spark-submit options] JOB [job options]
# Makes the environment on the first use; what is missing on the machine is said, with exit status 4.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VENV=$HERE/.venv
source "$HERE/tools/machine.sh"
source "$HERE/tools/cluster.sh"

# The command line without Spark; a listing and the doctor need no environment either.
plain() {
  local python=$VENV/bin/python
  [[ -x $python ]] || python=$(find_python) || { require_machine; exit 4; }
  PYTHONPATH=$HERE/lib${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m attune "$@"
}

spark_options=() properties='' master=${MASTER:-} memory=${SPARK_DRIVER_MEMORY:-} deploy_mode='' py_files='' archives=''
declare -A conf=()

# An option, its value and both as they were written: those that this script has a say in are kept, the others are Spark's.
take() {
  case $1 in
    --master) master=$2 ;;
    --driver-memory) memory=$2 ;;
    --deploy-mode) deploy_mode=$2 ;;
    --py-files) py_files=$2 ;;
    --archives) archives=$2 ;;
    --remote) export SPARK_REMOTE=$2 ;;
    *)
      [[ $1 != --conf && $1 != -c ]] || conf[${2%%=*}]=${2#*=}
      if [[ $1 == --properties-file ]]; then
        [[ -r $2 ]] || refuse "--properties-file $2 cannot be read: there are examples in $HERE/conf/cluster"
        properties=$2
      fi
      spark_options+=("${@:3}")
      ;;
  esac
}

while (($#)); do
  case $1 in
    -h | --help | --version) plain "$1" ;;
    --supervise | --verbose | -v | --load-spark-defaults) spark_options+=("$1"); shift ;;
    --*=*) take "${1%%=*}" "${1#*=}" "$1"; shift ;;
    -*)
      (($# > 1)) || { echo "spark-submit.sh: option $1 needs a value" >&2; exit 2; }
      take "$1" "$2" "$1" "$2"
      shift 2
      ;;
    *) break ;;
  esac
done
(($#)) || plain --help
job=$1
shift
master=${master:-$(setting spark.master)} deploy_mode=${deploy_mode:-$(setting spark.submit.deployMode)}
master=${master:-local[*,4]} memory=${memory:-$(setting spark.driver.memory)}
py_files=${py_files:-$(setting spark.submit.pyFiles)} archives=${archives:-$(setting spark.archives)}

if [[ $job == doctor || $job == _* || ! -f $HERE/jobs/$job.py && $job != tables && $job != why ]]; then plain "$job" "$@"; fi
refuse_what_cannot_run
"$HERE/tools/setup.sh"
if [[ $job == tables || $job == why ]]; then plain "$job" "$@"; fi
for argument; do
  case $argument in -h | --help | --dry-run) plain "$job" "$@" ;; esac
done
if [[ -n ${SPARK_REMOTE:-} ]]; then # Spark Connect: its client is a plain Python process, and takes no options of spark-submit
  [[ -z ${spark_options[*]-}$deploy_mode$py_files$archives ]] ||
    refuse "with --remote, Spark's settings go under spark: in a settings file, not on the command line"
  export SPARK_CONF_DIR=${SPARK_CONF_DIR:-$HERE/conf}
  if [[ $SPARK_REMOTE == local* ]]; then export SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1} SPARK_DRIVER_MEMORY=$memory; fi
  unset SPARK_HOME
  plain "$job" "$@"
fi
find_java >/dev/null || { require_machine; exit 4; }

zip=$VENV/attune.zip
"$VENV/bin/python" -S "$HERE/tools/pack.py" "$zip"
export PYSPARK_DRIVER_PYTHON=$VENV/bin/python
cluster_options=()
if [[ $master == local* ]]; then
  export PYSPARK_PYTHON=${PYSPARK_PYTHON:-$VENV/bin/python} SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1}
else
  bring_environment
fi
[[ -z $deploy_mode ]] || cluster_options+=(--deploy-mode "$deploy_mode")
[[ -z $archives ]] || cluster_options+=(--archives "$archives")
export PATH=$VENV/bin:$PATH
export SPARK_CONF_DIR=${SPARK_CONF_DIR:-${SPARK_HOME:-$HERE}/conf}
unset SPARK_HOME # another Spark; the environment brings its own
# As in lib/attune/session.py; here, since the driver's Java has started before that is read.
exec "$VENV/bin/spark-submit" --master "$master" --driver-memory "${memory:-3g}" \
  --conf spark.driver.extraJavaOptions=-XX:-DontCompileHugeMethods \
  --py-files "$zip${py_files:+,$py_files}" ${cluster_options[@]+"${cluster_options[@]}"} \
  ${spark_options[@]+"${spark_options[@]}"} "$HERE/jobs/$job.py" "$@"
