#!/usr/bin/env bash
# One run over the tasks of a Slurm job, one GPU a task:
#
#   sbatch --nodes=2 --ntasks-per-node=4 --gpus-per-task=1 launch/slurm.sh \
#     --config=configs/yandex.py --workdir=SHARED/runs/yandex --config.data_dir=DIR
#
# The workdir and the prepared data (--config.prepared_dir) lie on a file system that all nodes see.
# Two minutes before the time is up, and when it is preempted, the job gets SIGTERM: it saves, ends,
# and where Slurm requeues it, goes on from there. Whether a job is requeued is the cluster's rule.
#
# Not run here: checked with `bash -n` alone. What it starts is what launch/local.py starts.
#SBATCH --job-name=musicjax
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?is set by sbatch}"

# JAX finds coordinator, number of tasks and its own by Slurm's variables. A task that dies takes
# the others with it.
exec srun --kill-on-bad-exit=1 "${PYTHON:-.venv/bin/python}" -m musicjax.main --distributed "$@"
