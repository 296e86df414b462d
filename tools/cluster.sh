# shellcheck shell=bash
# How a job gets to a cluster. Sourced by spark-submit.sh, whose variables it reads.

ENVIRONMENT=environment # name of the folder that the packed environment is unpacked to on a node

# A setting of Spark's, from --conf or else from the file of --properties-file; nothing where neither has it.
setting() {
  if [[ -n ${conf[$1]:-} ]]; then
    echo "${conf[$1]}"
  elif [[ -n $properties ]]; then
    sed -nE "s/^[[:space:]]*${1//./\\.}[[:space:]=:]+(.*[^[:space:]])[[:space:]]*$/\1/p" "$properties" | tail -n 1
  fi
}

refuse() { echo "spark-submit.sh: error: $1" >&2; exit 2; }

# What Spark would refuse later, after minutes, or in words that name no mend.
refuse_what_cannot_run() {
  [[ $deploy_mode == cluster ]] || return 0
  case $master in
    local*) refuse "--deploy-mode cluster needs a cluster: give --master, or leave --deploy-mode out" ;;
    spark://*) refuse "a standalone cluster runs Python jobs in deploy mode client only: leave out --deploy-mode cluster \
(spark.submit.deployMode), and start this on a machine that the workers can reach" ;;
    k8s://*) [[ -n $(setting spark.kubernetes.file.upload.path) ]] || refuse "deploy mode cluster on Kubernetes needs a place \
for the job's files that all pods can read: add --conf spark.kubernetes.file.upload.path=s3a://BUCKET/FOLDER" ;;
  esac
}

# Bring the Python environment to the nodes and say where it is there; a Python that the user names is there already.
bring_environment() {
  local python
  python=${PYSPARK_PYTHON:-$(setting spark.pyspark.python)}
  if [[ -z $python ]]; then
    "$VENV/bin/python" "$HERE/tools/pack_environment.py" "$VENV" "$VENV/$ENVIRONMENT.tar.gz"
    archives=$VENV/$ENVIRONMENT.tar.gz#$ENVIRONMENT${archives:+,$archives}
    python=./$ENVIRONMENT/bin/python
  fi
  export PYSPARK_PYTHON=$python
  if [[ $deploy_mode != cluster ]]; then
    cluster_options+=(--conf "spark.pyspark.driver.python=$PYSPARK_DRIVER_PYTHON")
    return
  fi
  # The driver is on a node, too. PYSPARK_DRIVER_PYTHON stays as it is here, for spark-submit finds its own Spark with it.
  cluster_options+=(--conf "spark.pyspark.python=$python" --conf "spark.pyspark.driver.python=$python")
  [[ $master != yarn* ]] || cluster_options+=(
    --conf "spark.yarn.appMasterEnv.PYSPARK_PYTHON=$python" --conf "spark.yarn.appMasterEnv.PYSPARK_DRIVER_PYTHON=$python")
}
