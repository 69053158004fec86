#!/usr/bin/env bash
# Train on the machines of a Slurm allocation, with one process per GPU of each, or N processes:
#   salloc --nodes=2 --gpus-per-node=8 ... tools/slurm_train.sh CONFIG [options of tools/train.py]
#   sbatch --nodes=2 --gpus-per-node=8 ... --wrap "tools/slurm_train.sh CONFIG [options]"
#   PROCESSES=N ... on machines without GPUs. SRUN_ARGS: more options of srun.
# Starts tools/dist_train.sh once on each; PORT and MAX_RESTARTS: see tools/dist_run.sh.
set -euo pipefail
(( $# >= 1 )) || { echo "usage: $0 CONFIG [options of tools/train.py]" >&2; exit 2; }
[[ -n ${SLURM_JOB_NODELIST:-} ]] ||
  { echo 'error: this is no Slurm allocation: start it through sbatch or salloc.' >&2; exit 1; }
processes=${PROCESSES:-${SLURM_GPUS_ON_NODE:-}}
[[ -n $processes ]] ||
  { echo 'error: the allocation has no GPUs: set PROCESSES to the number per machine.' >&2; exit 1; }
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Jobs that share a machine get ports of their own.
export MASTER_ADDR NNODES=$SLURM_NNODES PORT=${PORT:-$((20000 + SLURM_JOB_ID % 20000))}
dist_train=$(cd "$(dirname "$0")" && pwd)/dist_train.sh
# One machine that fails ends the others, too. $SLURM_NODEID is each machine's own.
# shellcheck disable=SC2016,SC2086
exec srun --nodes="$NNODES" --ntasks="$NNODES" --ntasks-per-node=1 --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  bash -c 'NODE_RANK=$SLURM_NODEID exec "$@"' bash "$dist_train" "$1" "$processes" "${@:2}"
