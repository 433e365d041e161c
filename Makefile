# `make demo` and `make test` set up all they need in .venv, from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	mkdir -p out/demo
	$(BIN)/stylegan-convert checkpoints/demo.pkl out/demo/demo.pt --force
	$(BIN)/stylegan-generate --network out/demo/demo.pt --truncation 0.7 --seeds 0-15 --outdir out/demo --grid out/demo/grid.png --force
	@echo "Open out/demo/grid.png"

test: $(VENV)/.installed-all
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-all
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

clean:
	rm -rf $(VENV) out

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# The tests run original programs too, and what other programs open; that takes TensorFlow and onnxruntime.
$(VENV)/.installed-all: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,tf,onnx,hub,train,edit,film]'
	touch $@
