# `make demo` and `make test` set up all they need in .venv, from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest

GALLERY := docs/images

# Stacks pictures of one width.
define STACK
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from stylegan_torch.drawing.images import save_png, to_pil
target, *rows = map(Path, sys.argv[1:])
save_png(target, to_pil(np.concatenate([np.asarray(Image.open(row)) for row in rows])), {}, force=True)
endef
export STACK

# What a processor without some instructions would compute, as far as this one can play it.
PROCESSORS := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=SSE41 ONEDNN_MAX_CPU_ISA=AVX2 \
	ONEDNN_MAX_CPU_ISA=AVX512_CORE_AMX
# Two that have no kernels in common, and the tests that hold pictures against what other programs drew.
UNLIKE := ATEN_CPU_CAPABILITY=default,ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=avx2,ONEDNN_MAX_CPU_ISA=AVX2
PARITY := networks/test_parity networks/test_stylegan3 fast/test_fast fast/test_winograd commands/test_generate \
	forms/test_community forms/test_community_formulas forms/test_nonsquare forms/test_options forms/test_theano

# What is tested with the lowest versions: all that needs no TensorFlow, page in a browser or newer PyTorch, and does not take long.
CORE := attack bulk commands editing fast files forms measuring networks pictures proof safe training test_hub.py test_library.py
NOT_CORE := forms/test_graphs.py attack/test_bombs.py attack/test_fuzz.py

.PHONY: demo test test-long test-lowest test-kernels test-all lint docs gallery clean

demo: $(VENV)/.installed
	mkdir -p out/demo
	$(BIN)/stylegan-convert checkpoints/demo/faces.pkl out/demo/faces.pt --force
	$(BIN)/stylegan-generate --network out/demo/faces.pt --truncation 0.7 --seeds 0-50 --outdir out/demo/faces --grid out/demo/grid.png --force
	$(BIN)/stylegan mix --network out/demo/faces.pt --rows 3,4,13 --cols 17,20,11,28,24 --styles 0-3 --truncation 0.7 --out out/demo/mix.png --force
	$(BIN)/stylegan film --network out/demo/faces.pt --seeds 17,20,28,24 --seconds 4 --fps 20 --out out/demo/film.gif --force
	@if command -v npm > /dev/null; then \
		$(BIN)/stylegan page checkpoints/demo/faces.pkl out/demo/page --force; \
	else echo "out/demo/page is not written: npm, which brings its runtime, is not here"; fi
	@echo "Open out/demo/grid.png, mix.png and film.gif"

test: $(VENV)/.installed-all
	$(BIN)/python -m pytest -m 'not long'

# The cases that others stand for in `make test`.
test-long: $(VENV)/.installed-all
	$(BIN)/python -m pytest -m long

test-lowest: $(LOWEST)/.installed
	$(LOWEST)/bin/python -m pytest $(CORE:%=tests/%) $(NOT_CORE:%=--ignore tests/%) -m 'not long'

test-kernels: $(VENV)/.installed-all
	set -e; for processor in $(UNLIKE); do echo "$$processor"; \
		env $$(echo $$processor | tr , ' ') $(BIN)/python -m pytest $(PARITY:%=tests/%.py); done

# All tests as on each of those processors, and with twice as many workers as cores.
test-all: test test-long
	set -e; for processor in $(PROCESSORS); do echo "$$processor"; env $$processor $(BIN)/python -m pytest; done
	$(BIN)/python -m pytest -n $$((2 * $$(getconf _NPROCESSORS_ONLN)))

lint: $(VENV)/.installed-all
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site, into out/site. Warnings are errors: broken links, undocumented parameters, pages in no menu, what is fetched from elsewhere.
docs: $(VENV)/.installed-all
	$(BIN)/mkdocs build --strict

# The documents' pictures, made by the commands themselves.
gallery: $(VENV)/.installed-all
	rm -rf out/gallery
	$(BIN)/stylegan-generate --truncation 0.7 --seeds 0-39 --columns 10 --grid $(GALLERY)/faces.png --outdir out/gallery --force
	$(BIN)/stylegan mix --rows 3,4,13 --cols 17,20,11,28,24 --styles 0-3 --truncation 0.7 --out $(GALLERY)/mix.png --force
	$(BIN)/stylegan draw --seeds 24,17,4,11,28,7,13,20 --layout columns --feather 0.15 --size 64x512 --fill tile --offset 0,0 --truncation 0.7 --out $(GALLERY)/layout.png --force
	$(BIN)/stylegan directions --method pca --out out/gallery/pca.npz
	$(BIN)/stylegan edit --directions out/gallery/pca.npz --index 0-4 --seeds 7 --truncation 0.7 --out $(GALLERY)/edit.png --force
	$(BIN)/stylegan look truncation --seeds 0-2 --out $(GALLERY)/truncation.png --force
	$(BIN)/stylegan-generate --truncation 0.3 --seeds 0-9 --columns 10 --grid $(GALLERY)/mean.png --outdir out/gallery --force
	$(BIN)/stylegan centres --count 12 --out out/gallery/centres.npz --force
	$(BIN)/stylegan-generate --truncation 0.3 --truncation-centres out/gallery/centres.npz --seeds 0-9 --columns 10 --grid $(GALLERY)/centres.png --outdir out/gallery --force
	$(BIN)/stylegan film --seeds 17,20,11,28,24,7,3,21,35,4,13,0 --grid 6x1 --truncation 0.7 --seconds 4 --fps 12 --out $(GALLERY)/film.gif --force
	$(BIN)/stylegan drag --seed 1 --truncation 0.7 --learning-rate 0.005 --points 26,32:21,32 --film $(GALLERY)/drag.gif --out out/gallery/eye.png --force
	$(BIN)/stylegan drag --seed 14 --truncation 0.7 --learning-rate 0.005 --points 32,13:32,8 --film $(GALLERY)/drag-hair.gif --out out/gallery/hair.png --force
	$(BIN)/python -c "from examples.faces.faces import draw_face, random_face; draw_face(random_face(20001)).save('out/gallery/face.png')"
	$(BIN)/stylegan project out/gallery/face.png --outdir out/gallery/projected --film $(GALLERY)/project.gif --force
	$(BIN)/python -m examples.faces.tuning --faces 20002,20006,20007 --sheet $(GALLERY)/tune.png
	$(BIN)/python -m examples.faces.faces out/gallery/negatives.zip --count 1500 --negative
	$(BIN)/stylegan train out/gallery/negatives.zip --network checkpoints/demo/faces.pkl --outdir out/gallery/run --kimg 3 --set ema_kimg=0.2
	$(BIN)/stylegan blend checkpoints/demo/faces.pkl out/gallery/run/network-*.pt --at 16 --out out/gallery/blended.pt
	for network in checkpoints/demo/faces.pkl out/gallery/run/network-*.pt out/gallery/blended.pt; do \
		$(BIN)/stylegan-generate --network $$network --truncation 0.7 --seeds 0-9 --columns 10 --outdir out/gallery/rows \
		--grid out/gallery/row-$$(basename $$network .pt).png --force; done
	$(BIN)/python -c "$$STACK" $(GALLERY)/blend.png out/gallery/row-faces.pkl.png out/gallery/row-network-*.png out/gallery/row-blended.png
	$(BIN)/python benchmarks/explorer.py --screenshot $(GALLERY)/explorer.png

clean:
	rm -rf $(VENV) $(LOWEST) out

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[onnx]'
	touch $@

# The tests run original programs too, and what other programs open; that takes TensorFlow and onnxruntime.
$(VENV)/.installed-all: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs,tf,onnx,hub,train,edit,film,align,explore,live]'
	touch $@

$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[test,hub,train,edit,film,bulk,measure]'
	touch $@
