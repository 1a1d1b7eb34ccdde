# Two commands do everything: `make lab` opens the lab, `make test` passes every check. Both set up what is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The one place that names system packages: what the lab runs on, then what its tests use besides.
LAB_PACKAGES := iproute2 iputils-ping less libc-bin nftables procps python3-venv uidmap util-linux vim-tiny
TEST_PACKAGES := git vim

MESSAGES := kubelab/cluster/store/rpc/pb

# Some environments forbid it; but the tests start the program hundreds of times, and compiling takes 0.2 to 0.6 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: lab test setup setup-dev lint types layers bytecode unit lessons lessons-es lessons-en stubs simulate fuzz clean

lab: setup
	@$(SUDO) $(BIN)/kubelab

setup: $(VENV)/.lab

setup-dev: $(VENV)/.dev

$(VENV)/.lab: pyproject.toml Makefile
	@$(call install,$(LAB_PACKAGES))
	@[ -x $(BIN)/python ] || { echo "Making the virtual environment $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing kubelab and its libraries into $(VENV) (a minute or so, the first time)"
	@$(PIP) --editable .
	@$(call unpack,etcd-client,etcdctl) || echo "Without etcdctl, lessons on etcd can only be read (package etcd-client)"
	@touch $@

$(VENV)/.dev: $(VENV)/.lab
	@$(call install,$(TEST_PACKAGES))
	@$(call unpack,docker-registry,docker-registry)
	@$(call unpack,etcd-client,etcdctl)
	@$(call unpack,etcd-server,etcd)
	@echo "Installing what the checks need"
	@$(PIP) --editable '.[dev]'
	@$(BIN)/python tests/old_kubectls.py $(VENV)/kubectl
	@touch $@

# First what needs one processor each, side by side; then what shares them out itself.
test: setup-dev
	@$(MAKE) --no-print-directory --jobs 2 --output-sync types lint layers bytecode
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory lessons
	@echo "All checks passed."

lint: setup-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup-dev
	$(BIN)/mypy

layers: setup-dev
	$(BIN)/lint-imports

# pytest rewrites the tests' assertions, which takes 15 s of a processor: once here, or in each of its workers.
# Where that fails, the tests themselves will say why.
bytecode: setup-dev
	@$(BIN)/python -m pytest --collect-only --quiet >/dev/null || true

# Most of a test's time is waiting for the kernel, so there may be more workers than processors.
unit: setup-dev
	$(BIN)/python -m pytest --numprocesses 4 --dist worksteal $(PYTEST_ARGS)

# The proofs need root; without it they are left out aloud, and in CI that is a failure. A lesson takes less than
# the 30 s that it may by default, but not on a machine that is busy with others, as it is here. All labs of one
# `lesson test` run on one processor, so there is one for each language.
lessons: setup-dev
	@if [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then \
	  $(MAKE) --no-print-directory --jobs 2 lessons-es lessons-en; \
	else \
	  echo "Skipped: proving the lessons needs root (sudo make lessons)"; [ -z "$$KUBELAB_NO_SKIPS" ]; \
	fi

lessons-es lessons-en: lessons-%: setup-dev
	@$(SUDO) $(BIN)/kubelab lesson test --lang $* --jobs 2 --limit 120

# etcd's messages as Python, after a change of a .proto file. The compiler has a version of its own,
# for its output runs on no older protobuf than the one it comes with.
stubs:
	@$(PYTHON) -m venv $(VENV)/protoc
	@$(VENV)/protoc/bin/python -m pip install --quiet grpcio-tools==1.76.0 protobuf==6.31.1
	@rm -f $(MESSAGES)/*_pb2.py $(MESSAGES)/*_pb2.pyi
	@$(VENV)/protoc/bin/python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. $(MESSAGES)/*.proto
	@rm -rf $(VENV)/protoc

# Clusters of Raft from seeds, on all cores; each test run does some, this does many.
simulate: setup-dev
	$(BIN)/python tests/raft/simulate_raft.py --runs $(or $(RUNS),10000)

# The API server asked for MINUTES (15) what it must refuse or bear; each test run asks some of it.
fuzz: setup-dev
	$(BIN)/python tests/apiserver/fuzz_api.py --minutes $(or $(MINUTES),15) $(if $(SEED),--seed $(SEED))

clean:
	$(SUDO) $(BIN)/kubelab clean
	rm -rf $(VENV) build dist *.egg-info

# $(call install,packages): ask apt only for what is not there, and say so.
define install
	missing=""; \
	for package in $(1); do \
	  dpkg-query --show --showformat='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  if ! command -v apt-get >/dev/null; then \
	    echo "Not a Debian system: please install the equivalents of:$$missing"; \
	  else \
	    echo "Installing system packages:$$missing"; \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive sh -c "apt-get -qq update && apt-get -qq install --yes --no-install-recommends $$missing" >/dev/null; \
	  fi; \
	fi
endef

# $(call unpack,package,program): into the virtual environment, and nothing installed: it would start a service.
define unpack
	if [ ! -x $(BIN)/$(2) ] && command -v apt-get >/dev/null; then \
	  echo "Unpacking the program $(2) into $(VENV)"; \
	  get="apt-get -qq -o APT::Sandbox::User=root download $(1)"; \
	  (cd $(VENV) && { $$get 2>/dev/null || { $(SUDO) apt-get -qq update && $$get; }; } \
	    && dpkg-deb -x $(1)_*.deb $(1) && rm $(1)_*.deb && ln -sf ../$(1)/usr/bin/$(2) bin/); \
	fi
endef
