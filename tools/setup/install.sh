#!/usr/bin/env bash
# Set-up: a venv with one pinned stack, mmcv's ops built here, and this package in editable mode.
# Idempotent; `make setup`, `make train` and `make test` call it.
#   STACK=maintained|openmmlab   .venv with maintained.txt, or .venv-openmmlab with openmmlab.txt
#   PYTHON=/path/to/python3.11   the Python to use; default: the first that will do
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

die() { printf 'error: %s\n' "$*" >&2; exit 1; }
readonly STACK=${STACK:-maintained}
case $STACK in
  maintained) readonly VENV=.venv NEWEST=12 ;;
  openmmlab) readonly VENV=.venv-openmmlab NEWEST=11 ;; # torch 2.1.2 has no wheel for 3.12
  *) die "STACK is '$STACK', but there are two stacks: maintained (default) and openmmlab." ;;
esac
readonly PINS=tools/setup/$STACK.txt STAMP=$VENV/installed LOG=$VENV/install.log
readonly UV='uv==0.13.8' STEPS=6 NEED_GIB=12 MMCV='^(onedl-)?mmcv=='

# The venv is up to date when nothing that this script reads has changed since it was filled.
# Tool settings (ruff, pytest) in pyproject.toml do not count; the folder does (editable install).
fingerprint() { { cat "$PINS" tools/setup/install.sh; sed '/^\[tool/,$d' pyproject.toml; pwd; } | sha256sum; }
ops_are_there() { compgen -G "$VENV/lib/python3*/site-packages/mmcv/_ext.*.so" >/dev/null; }
if [[ -x $VENV/bin/python && -f $STAMP && $(<"$STAMP") == "$(fingerprint)" ]] && ops_are_there; then exit 0; fi

started=$SECONDS step_number=0 heartbeat=
trap '[[ -z $heartbeat ]] || kill "$heartbeat" 2>/dev/null || true' EXIT

# ---- what must be there -------------------------------------------------------------------------
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }
supported() { [[ $1 =~ ^3\.1[0-$((NEWEST - 10))]$ ]]; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
has_headers() { "$1" -c 'import os, sysconfig as s; assert os.path.exists(s.get_path("include") + "/Python.h")' 2>/dev/null; }

find_python() {  # sets `python`: the first supported one that has all it needs, else the first supported
  local candidate version found=() first=
  for candidate in ${PYTHON:-python3.12 python3.11 python3.10 python3}; do
    version=$(version_of "$candidate")
    [[ -z $version ]] || found+=("$candidate is $version")
    supported "$version" || continue
    first=${first:-$candidate}
    if has_venv "$candidate" && has_headers "$candidate"; then python=$candidate; return; fi
  done
  [[ -n $first ]] || die "no Python 3.10-3.$NEWEST was found ($(IFS=,; echo "${found[*]:-no Python at all}")): install one, or name it with PYTHON=/path/to/python3.11."
  python=$first
}

check_machine() {
  local version free
  if [[ -x $VENV/bin/python ]]; then
    python=$VENV/bin/python version=$(version_of $VENV/bin/python)
    supported "$version" || die "$VENV holds Python ${version:-that does not start}, but 3.10-3.$NEWEST is needed: delete the folder $VENV and try again."
  else
    find_python
    version=$(version_of "$python")
    has_venv "$python" || die "$python ($version) lacks the modules venv and ensurepip: install them (Debian, Ubuntu: the package python$version-venv or python3-venv)."
  fi
  has_headers "$python" || die "$python ($version) lacks Python.h, which building mmcv's ops needs: install its headers (Debian, Ubuntu: the package python$version-dev or python3-dev)."
  command -v "${CXX:-c++}" >/dev/null || die "the C++ compiler ${CXX:-c++}, which builds mmcv's ops, was not found: install one (Debian, Ubuntu: the package g++)."
  [[ -d $VENV ]] && return
  free=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
  (( free >= NEED_GIB )) || die "$PWD has $free GiB of free disk, but the stack needs $NEED_GIB GiB (5 GiB installed, the rest in uv's cache and while building): free some."
}

# ---- running a step -----------------------------------------------------------------------------
beat() {  # says every minute, as long as this script lives, that a long step is still going on
  local second
  for (( second = 1; ; second++ )); do
    sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null || return
    (( second % 60 )) || echo "      ... $((second / 60)) min"
  done
}
step() {  # step TEXT: end the step before, announce this one
  echo "[$((++step_number))/$STEPS] $1"
  echo "== $1" >>"$LOG"
}
try() {  # try SENTENCE COMMAND...: run it into the log; on failure the log's end and the sentence
  local sentence=$1; shift
  beat & heartbeat=$!
  "$@" >>"$LOG" 2>&1 || { echo "---- end of $LOG:" >&2; tail -n 25 "$LOG" >&2; die "$sentence (all of it: $LOG)."; }
  kill "$heartbeat"; wait "$heartbeat" 2>/dev/null || true; heartbeat=
}
uv() { $VENV/bin/python -m uv pip install --python $VENV/bin/python --no-deps "$@"; }

# ---- mmcv's ops ---------------------------------------------------------------------------------
ops_import() { $VENV/bin/python -c 'import mmcv._ext' 2>>"$LOG"; }

# With an NVIDIA GPU and the CUDA compiler that torch was built for, the ops get CUDA kernels.
ops_device() {
  local wanted nvcc
  command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU' || { echo cpu; return; }
  wanted=$($VENV/bin/python -c 'import torch; print((torch.version.cuda or "none").split(".")[0])')
  nvcc=$(command -v "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" nvcc | head -n 1) || true
  if [[ -n $nvcc ]] && "$nvcc" --version | grep -q "release $wanted\."; then echo cuda; else
    echo "      a GPU is here, but no nvcc of CUDA $wanted: ops such as deformable convolution will run on the CPU only" >&2
    echo cpu
  fi
}

# The wheel is kept per torch, Python and device: a second checkout needs no second build. (Caches of
# pip and uv know none of the three.)
build_ops() {
  local pin name cache wheel
  pin=$(grep -E "$MMCV" "$PINS") name=${pin%%==*}
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/mmdet_ext/$built_for
  wheel=$cache/${name//-/_}-${pin#*==}-*.whl
  if ! compgen -G "$wheel" >/dev/null; then
    export MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc)}
    if [[ $device == cuda ]]; then export FORCE_CUDA=1; else export FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=; fi
    PATH=$PWD/$VENV/bin:$PATH $VENV/bin/python -m pip wheel --verbose --no-cache-dir --no-deps --no-build-isolation \
      --wheel-dir "$cache" "$pin" || return 1
  fi
  [[ $(cat $VENV/ops-built-for 2>/dev/null) == "$built_for" ]] && ops_import && return
  uv --reinstall-package "$name" $wheel || return 1
  echo "$built_for" >$VENV/ops-built-for
}

# ---- the steps ----------------------------------------------------------------------------------
check_machine
rm -f "$STAMP"
echo "Setting up $VENV with $python ($(version_of "$python")); 10 to 20 minutes the first time, under one afterwards"
if ! $VENV/bin/python -m pip --version >/dev/null 2>&1; then
  mkdir -p $VENV
  : >"$LOG"
  step "creating $VENV"
  try "$python could not create $VENV" "$python" -m venv $VENV
else
  : >"$LOG"
  step "$VENV is there"
fi

step "installing the installer ($UV)"
try 'pip could not install uv' $VENV/bin/python -m pip install --quiet "$UV"
eval "$($VENV/bin/python -m pip config list | $VENV/bin/python tools/setup/pip_settings.py)"

step "installing the $(grep -vc '^#' "$PINS") pinned packages, torch among them (about 2 min)"
grep -vE "$MMCV" "$PINS" >$VENV/pins.txt
try "the packages pinned in $PINS could not be installed" uv -r $VENV/pins.txt

device=$(ops_device)
built_for=$($VENV/bin/python -c 'import sys, torch; print(f"torch-{torch.__version__}-py3{sys.version_info.minor}")')-$device
step "building mmcv's ops for ${device^^} (6 to 16 min on 2 cores; seconds when they were built before)"
try "building mmcv's ops failed" build_ops

step 'installing mmdet_ext in editable mode'
try 'mmdet_ext itself could not be installed' uv --no-build-isolation -e .

step 'checking that all of it imports'
ops_import || die "mmcv's compiled ops do not import (see the end of $LOG): delete ${XDG_CACHE_HOME:-$HOME/.cache}/mmdet_ext/$built_for and $VENV/ops-built-for, then try again."
try 'the installed stack does not import' $VENV/bin/python -c 'import torch, torchvision, mmcv.ops, mmengine, mmdet, mmdet_ext'
fingerprint >"$STAMP"
echo "Set-up done in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s: $($VENV/bin/python -W ignore -c 'import torch, mmcv, mmengine, mmdet
print("torch", torch.__version__, "mmcv", mmcv.__version__, "mmengine", mmengine.__version__, "mmdet", mmdet.__version__)')"
