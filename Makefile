# `make demo` and `make test` set up all they need in .venv, from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	mkdir -p out/demo
	$(BIN)/stylegan-convert checkpoints/demo/faces.pkl out/demo/faces.pt --force
	$(BIN)/stylegan-generate --network out/demo/faces.pt --truncation 0.7 --seeds 0-50 --outdir out/demo/faces --grid out/demo/grid.png --force
	$(BIN)/stylegan mix --network out/demo/faces.pt --rows 2,4,11 --cols 1,5,7,8,14 --styles 0-3 --truncation 0.7 --out out/demo/mix.png --force
	$(BIN)/stylegan film --network out/demo/faces.pt --seeds 1,5,7,14 --seconds 4 --fps 20 --out out/demo/film.gif --force
	@echo "Open out/demo/grid.png, mix.png and film.gif"

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
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,tf,onnx,hub,train,edit,film,explore]'
	touch $@
