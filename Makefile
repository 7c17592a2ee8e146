# Short names; everything works without make as well.
.PHONY: run test lint types imports format docs ci benchmark

run:
	python3 bootstrap.py run

test:
	python3 bootstrap.py test

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types:
	.venv/bin/basedpyright

imports:
	.venv/bin/lint-imports

format:
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs:
	.venv/bin/pip install --quiet --editable '.[docs]'
	.venv/bin/zensical build --strict

ci:
	.ci/run

benchmark:
	.venv/bin/python -m experiments.benchmark \
	  --config=configs/benchmark_signals.py --workdir=runs/benchmark_signals
