#!/usr/bin/env bash
# One run over all hosts of a TPU pod slice:
#
#   launch/tpu_pod.sh NAME ZONE \
#     --config=configs/yandex.py --workdir=SHARED/runs/yandex --config.data_dir=DIR
#
# On every host ~/musicjax holds the code and its .venv, installed with `pip install -e '.[tpu]'`.
# SHARED is a folder that all hosts see (Filestore or a mounted bucket), and so is
# --config.prepared_dir, unless every host is to prepare the data for itself. The output is that of
# the first host.
#
# Not run here: checked with `bash -n` alone. What it starts is what launch/local.py starts.
set -euo pipefail
name=${1:?the name of the TPU}
zone=${2:?its zone}
shift 2

printf -v arguments ' %q' "$@"
exec gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
  --command="cd musicjax && .venv/bin/python -m musicjax.main --distributed$arguments"
