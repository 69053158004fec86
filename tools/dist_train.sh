#!/usr/bin/env bash
# Train with N processes on this machine, one per GPU (or over gloo on a machine without GPUs):
#   tools/dist_train.sh CONFIG N [options of tools/train.py]
# On several machines, set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -euo pipefail
(( $# >= 2 )) || { echo "usage: $0 CONFIG N [options of tools/train.py]" >&2; exit 2; }
config=$1 processes=$2
shift 2
exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$processes" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
