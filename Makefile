# Every goal but `help` sets up .venv first; once that is done, its check takes milliseconds.
CONFIG ?= configs/ext/psd_yolo.py
ARGS ?=
STACK ?= maintained
VENV_PYTHON := .venv$(if $(filter openmmlab,$(STACK)),-openmmlab)/bin/python
export PYTHON STACK

.DEFAULT_GOAL := help
.PHONY: help setup train test lint env

help:
	@echo 'make train [CONFIG=$(CONFIG)] [ARGS="--amp ..."]  set up, then train'
	@echo 'make test  [ARGS="tests/structures -x"]                      set up, then run the tests'
	@echo 'make lint                                                    set up, then ruff and docstring coverage'
	@echo 'make env                                                     set up, then print versions, devices and ops'
	@echo 'make setup [PYTHON=/path/to/python3.11]                      create .venv with the pinned stack'

setup:
	@bash tools/setup/install.sh

train: setup
	$(VENV_PYTHON) tools/train.py $(CONFIG) $(ARGS)

test: setup
	$(VENV_PYTHON) -m pytest $(or $(ARGS),tests)

lint: setup
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m interrogate mmdet_ext

env: setup
	@$(VENV_PYTHON) -m mmdet_ext.utils.collect_env
