# Skald. `make` alone says what there is to make.

# The toolchain that go.mod names: an older go fetches it from the module proxy by itself.
export GOTOOLCHAIN := go1.27.3

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 60s
SIMULATE    ?= 1m
# The race detector needs a C compiler; without one the tests run without it.
RACE        := $(if $(shell command -v $${CC:-gcc} 2>/dev/null),-race)
MODULES     := $(patsubst %/go.mod,%,$(wildcard */*/go.mod */*/*/go.mod))

.DEFAULT_GOAL := help
.PHONY: help demo demo-redis demo-services quickstart test test-redis lint fmt fuzz bench soak-memory chaos chaos-short simulate cover mutants

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the pet shop, the main example, in memory
	@$(GO) run ./examples/petshop

demo-redis: ## run the pet shop on a Redis that it starts
	@scripts/redis-server
	@$(GO) run ./examples/petshop -redis start

demo-services: ## run a shop of four services, processes of their own, on a Redis that it starts, and kill one of them
	@scripts/redis-server
	@cd examples/services && $(GO) run . demo

quickstart: ## run the first saga of the README
	@$(GO) run ./examples/quickstart

test: ## run all tests with the race detector, real Redis included, and those of memory budgets without it
	@scripts/redis-server
	@scripts/postgres
	@$(if $(RACE),,echo "no C compiler: the tests run without the race detector")
	$(GO) test $(RACE) -timeout 14m ./redisx ./... # redisx first: it takes longest, and mostly waits
	$(GO) test -run 'Budget|Alloc' ./flow ./inmem ./errcodec ./internal/payload
	@for dir in $(MODULES); do (cd $$dir && $(GO) test $(RACE) ./...) || exit 1; done

test-redis: ## run the tests of the broker on Redis, on servers that they start
	@scripts/redis-server
	$(GO) test $(RACE) ./redisx/... ./internal/redisserver/...

lint: ## check format, vet, staticcheck and go.mod
	@files=$$($(GO) list -f '{{range .GoFiles}}{{$$.Dir}}/{{.}} {{end}}{{range .TestGoFiles}}{{$$.Dir}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$$.Dir}}/{{.}} {{end}}' ./... ) && \
	  unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l $$files) && \
	  if [ -n "$$unformatted" ]; then echo "not formatted (run make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod tidy -diff
	@for dir in $(MODULES); do (cd $$dir && $(GO) vet ./... && $(GO) mod tidy -diff) || exit 1; done

fmt: ## format the code
	$(GO) fmt ./...

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@scripts/fuzz $(FUZZTIME)

bench: ## measure sagas in memory and on a Redis that it starts, beside the same work without an engine
	$(GO) run ./internal/bench

soak-memory: ## measure what sagas take and leave in Redis, with a million of them at rest
	$(GO) run ./internal/soak

chaos: ## run sagas on Redis while workers, servers and connections break: ten minutes for each topology
	cd internal/chaos && $(GO) run .

chaos-short: ## the same on one server in about a minute
	cd internal/chaos && $(GO) run . -short -topology standalone

simulate: ## run sagas where everything goes wrong, for SIMULATE (1m) machines and as long engines, and look at each
	$(GO) run ./internal/simulate -for $(SIMULATE)
	$(GO) test -count=1 -v -timeout 24h ./internal/simulate/engines -for $(SIMULATE)

cover: ## print how much of each package the tests reach
	@scripts/cover

mutants: ## plant known mistakes one at a time, and show which test finds each
	$(GO) run ./internal/mutants
