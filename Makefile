# `make demo` and `make test` set up all they need in .venv, from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

GALLERY := checkpoints/demo

.PHONY: demo test lint gallery clean

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

# The README's pictures, made by the commands themselves.
gallery: $(VENV)/.installed-all
	rm -rf out/gallery
	$(BIN)/stylegan-generate --truncation 0.7 --seeds 0-39 --columns 10 --grid $(GALLERY)/faces.png --outdir out/gallery --force
	$(BIN)/stylegan mix --rows 2,4,11 --cols 1,5,7,8,14 --styles 0-3 --truncation 0.7 --out $(GALLERY)/mix.png --force
	$(BIN)/stylegan directions --method pca --out out/gallery/pca.npz
	$(BIN)/stylegan edit --directions out/gallery/pca.npz --index 0-4 --seeds 7 --truncation 0.7 --out $(GALLERY)/edit.png --force
	$(BIN)/stylegan look truncation --seeds 0-2 --out $(GALLERY)/truncation.png --force
	$(BIN)/stylegan film --seeds 0-11 --grid 6x1 --truncation 0.7 --seconds 4 --fps 12 --out $(GALLERY)/film.gif --force
	$(BIN)/python -c "from checkpoints.demo.faces import draw_face, random_face; draw_face(random_face(20001)).save('out/gallery/face.png')"
	$(BIN)/stylegan project out/gallery/face.png --outdir out/gallery/projected --film $(GALLERY)/project.gif --force
	$(BIN)/python benchmarks/explorer.py --screenshot $(GALLERY)/explorer.png

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
