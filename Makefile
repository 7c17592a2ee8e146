# Short names; everything works without make as well.
.PHONY: run test lint format ci benchmark

run:
	python3 bootstrap.py run

test:
	python3 bootstrap.py test

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format:
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

ci:
	.ci/run

benchmark:
	.venv/bin/python -m experiments.benchmark \
	  --config=configs/benchmark_signals.py --workdir=runs/benchmark_signals
