# Each target sets up .venv by itself, with what it needs, and never does so twice.
# Choose another Python with `make test PYTHON=python3.12`; paths are relative and quoted, so that
# the folder may have spaces in its name.

PYTHON ?= $(shell test -x .venv/bin/python && echo .venv/bin/python || echo python3)
TORCH ?= torch==2.13.0
ARGS ?=

SETUP = @"$(PYTHON)" tools/setup_venv.py
RUN = .venv/bin/python
# On as many processes as there are cores; one after the other with ARGS="-n 0".
TEST = $(RUN) -m pytest -n auto --maxprocesses 8 --dist worksteal

.NOTPARALLEL:
.PHONY: help demo test slow fast lint bench docs site-check parity opinfo onnx mpi prove mutants site release clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo:  ## learn to read handwritten digits in under two minutes; results in demo-output/
	$(SETUP) demo
	$(RUN) examples/digits.py

test:  ## run the tests, as `make test ARGS="-k conv2d"` only some
	$(SETUP) test
	$(TEST) $(ARGS)

slow:  ## run the tests that train networks, which `make test` leaves out
	$(SETUP) test
	$(TEST) tests -m slow $(ARGS)

fast:  ## run the tests on the kernels that numba compiles, which is installed into .venv
	$(SETUP) test fast
	MINIGRAD_KERNELS=numba $(TEST) $(ARGS)

lint:  ## check style, types and spelling
	$(SETUP) lint
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m pyright --pythonpath .venv/bin/python
	$(RUN) -m codespell_lib

bench:  ## measure speed, beside the other frameworks that are installed in .venv
	$(SETUP) demo
	$(RUN) -m benchmarks $(ARGS)

docs:  ## build the documentation into docs/_build/html
	$(SETUP) docs
	$(RUN) -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "the site: docs/_build/html/index.html"

site-check: docs  ## look at every page of the documentation in Chromium, wide and on a phone
	$(SETUP) test
	@$(RUN) -c "import importlib.util as i, sys; sys.exit(not i.find_spec('axe_playwright_python'))" \
		|| $(RUN) -m pip install --quiet --no-deps "axe-playwright-python>=0.1.7"
	$(TEST) tests/test_site.py tests/test_versions.py -m site $(ARGS)

parity:  ## compare every operator with PyTorch, which is installed into .venv
	$(SETUP) test
	@$(RUN) -c "import torch, onnxscript" 2>/dev/null || $(RUN) -m pip install --quiet "$(TORCH)" onnxscript \
		|| echo "pip could not install $(TORCH); name another build with make parity TORCH=..."
	$(RUN) -c "import torch"
	$(TEST) tests -m parity $(ARGS)

opinfo:  ## compare with PyTorch on the samples with which PyTorch tests itself
	$(SETUP) test
	@$(RUN) -c "import torch, expecttest" 2>/dev/null || $(RUN) -m pip install --quiet "$(TORCH)" expecttest
	$(RUN) -m pytest tests/test_opinfo.py -m opinfo $(ARGS)

onnx:  ## run ONNX's own tests of its operators on mg.onnx.load
	$(SETUP) test
	$(TEST) tests -m onnx $(ARGS)

mpi:  ## train on two and three processes, and see what happens when one of them fails
	$(SETUP) test mpi
	$(RUN) -m pytest tests/test_mpi.py tests/test_scaling.py -m mpi $(ARGS)

prove:  ## check every gradient with thousands of drawn examples: minutes, not seconds
	$(SETUP) test
	$(RUN) -m pytest tests -m prove $(ARGS)

mutants:  ## change the library in thousands of places and see whether the tests notice: hours
	$(SETUP) mutants
	$(RUN) tools/mutants.py reach
	$(RUN) tools/mutants.py run $(ARGS)
	$(RUN) tools/mutants.py report

site:  ## build the documentation of every release, and of this version, into docs/_build/site
	$(SETUP) docs
	$(RUN) tools/build_versions.py

release:  ## build the wheel and the source distribution in dist/, and try them in new environments
	$(SETUP) test release
	$(RUN) tools/release.py $(ARGS)

clean:  ## remove what the targets have written, all but .venv
	rm -rf build dist *.egg-info docs/_build demo-output .nox .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache .coverage htmlcov
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
