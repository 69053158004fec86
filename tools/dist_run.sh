#!/usr/bin/env bash
# Run a script of tools/ in N processes on this machine, one per GPU (over gloo on a machine without):
#   tools/dist_run.sh N SCRIPT [options of the script]
# On several machines, set NNODES, NODE_RANK, MASTER_ADDR and PORT on each; on one, any free port is taken.
# MAX_RESTARTS=3 starts all processes again, up to three times, when one is lost.
set -euo pipefail
(( $# >= 2 )) || { echo "usage: $0 N SCRIPT [options of the script]" >&2; exit 2; }
processes=$1 script=$2
shift 2
refuse() { echo "error: $1" >&2; exit 1; }
[[ $processes =~ ^[1-9][0-9]*$ ]] || refuse "the number of processes is '$processes': give one from 1 on."
nodes=${NNODES:-1}
meeting=(--standalone)
if (( nodes > 1 )) || [[ -n ${PORT:-} ]]; then
  (( nodes == 1 )) || [[ -n ${MASTER_ADDR:-} && -n ${NODE_RANK:-} ]] ||
    refuse "NNODES is $nodes: set MASTER_ADDR (the first machine) and NODE_RANK (0 to $((nodes - 1))), too."
  address=${MASTER_ADDR:-127.0.0.1} port=${PORT:-29500}
  if (( ${NODE_RANK:-0} == 0 )) && (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
    refuse "port $port is in use, by another training as a rule: set PORT to a free one, on all machines."
  fi
  meeting=(--nnodes="$nodes" --node_rank="${NODE_RANK:-0}" --master_addr="$address" --master_port="$port")
fi
exec "${PYTHON:-python}" -m torch.distributed.run "${meeting[@]}" --nproc_per_node="$processes" \
  --max_restarts="${MAX_RESTARTS:-0}" "$script" "$@"
