# Two commands: `make demo` analyses a chest CT, `make test` runs the whole suite. Each makes its own environment.
PYTHON ?= python3
# torch==2.13.0 is a CPU build on some package indexes only; name one that has it: make demo TORCH_INDEX=URL
TORCH_INDEX ?=
export TORCH_INDEX
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
OUTPUT ?= demo/diagnosis
# Where the segmenter's phantoms and checkpoints are kept, 16 GB, to go on after an interruption.
WORK ?= build/segmenter
CT ?= demo/phantom/phantom-0000/ct.nii.gz
LIBRARY := pyproject.toml constraints.txt
# What Debian must bring, installed when this user may and named when not: venv for both commands, the others for the
# tests that render (EGL, Mesa) and that run the panel in Testing/host (Qt without a screen, and a font).
VENV_PACKAGES := python3-venv
DEBIAN_PACKAGES := libegl1 libgl1-mesa-dri libgl1 libxkbcommon0 libglib2.0-0 libfontconfig1 libfreetype6 libdbus-1-3 \
	  fonts-dejavu-core
INSTALL = test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq $(1) >/dev/null
MAKE_VENV = @$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call INSTALL,$(VENV_PACKAGES)); } || \
	  { echo "A virtual environment needs: apt-get install $(VENV_PACKAGES)"; exit 1; }

.PHONY: demo test bundle segmenter benchmark clean
.DELETE_ON_ERROR:

$(VENV)/demo.installed: $(LIBRARY)
	$(MAKE_VENV)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[report,scene]'
	touch $@

$(VENV)/tests.installed: $(LIBRARY)
	$(MAKE_VENV)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[tests]'
	touch $@

demo/phantom/phantom-0000/ct.nii.gz: | $(VENV)/demo.installed
	$(BIN)/dualsampling-covid phantom --cases 1 --seed 2020 --output demo/phantom --overwrite

demo: $(VENV)/demo.installed $(if $(filter demo/%,$(CT)),$(CT))
	$(BIN)/dualsampling-covid analyze "$(CT)" --output "$(OUTPUT)" --overwrite
	@echo "Open $(OUTPUT)/report.html in a browser, or $(OUTPUT)/scene.mrb in 3D Slicer. Research use only."

test: $(VENV)/tests.installed
	@dpkg -s $(DEBIAN_PACKAGES) >/dev/null 2>&1 || \
	  { $(call INSTALL,$(DEBIAN_PACKAGES)); } || \
	  echo "Tests that render or run the panel will skip: apt-get install $(DEBIAN_PACKAGES)"
	$(BIN)/ruff check DualSamplingCOVID Testing
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# Regenerates Resources/Bundles/phantom-demo: phantoms, their masks, three networks.
bundle: $(VENV)/tests.installed
	$(BIN)/python -m DualSamplingCOVIDLib.commands.demo_bundle --output Resources/Bundles/phantom-demo

# Teaches the segmenter, from phantoms to held-out figures; RECIPE=gpu for a GPU. To ship it: Testing/Benchmarks/segmenters.py
# and segmenter_card.py write its model card, it goes to Resources/Bundles/vbnet-synthetic, and `make bundle` must follow.
RECIPE ?= cpu
segmenter: $(VENV)/tests.installed
	$(BIN)/dualsampling-covid train-segmenter --recipe $(RECIPE) --work $(WORK) --output build/vbnet-synthetic --overwrite

benchmark: $(VENV)/tests.installed
	$(BIN)/python Testing/Benchmarks/analyze.py $(BENCHMARK_CT)

clean:
	rm -rf $(VENV) demo build
