# `make demo` needs nothing but Python 3.11+ and a package registry; so does `make test`.
PYTHON ?= python3
RUN := .venv/bin

.PHONY: demo test lint

.venv/installed: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(RUN)/pip install --quiet --requirement requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(RUN)/pip install --quiet --requirement requirements-dev.txt
	touch $@

demo: .venv/installed
	$(RUN)/python prepare_dataset.py
	CUDA_VISIBLE_DEVICES=$${CUDA_VISIBLE_DEVICES-0} $(RUN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no finetune.py configs/recipes/demo.yaml

test: .venv/installed-dev
	$(RUN)/python -m pytest

lint: .venv/installed-dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
