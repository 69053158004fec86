#!/usr/bin/env bash
# Test with N processes on this machine, one per GPU (or over gloo on a machine without GPUs):
#   tools/dist_test.sh CONFIG CHECKPOINT N [options of tools/test.py]
# Several machines: see tools/dist_run.sh.
set -euo pipefail
(( $# >= 3 )) || { echo "usage: $0 CONFIG CHECKPOINT N [options of tools/test.py]" >&2; exit 2; }
tools=$(dirname "$0")
exec "$tools/dist_run.sh" "$3" "$tools/test.py" "$1" "$2" --launcher pytorch "${@:4}"
