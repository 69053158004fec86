#!/usr/bin/env bash
# Train with N processes on this machine, one per GPU (or over gloo on a machine without GPUs):
#   tools/dist_train.sh CONFIG N [options of tools/train.py]
# Several machines and restarts: see tools/dist_run.sh. After a restart training goes on by itself.
set -euo pipefail
(( $# >= 2 )) || { echo "usage: $0 CONFIG N [options of tools/train.py]" >&2; exit 2; }
tools=$(dirname "$0")
exec "$tools/dist_run.sh" "$2" "$tools/train.py" "$1" --launcher pytorch "${@:3}"
