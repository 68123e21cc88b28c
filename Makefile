# `make test` is all that has to pass, on a machine that has nothing but Go. `make` lists the rest.
# CI=true turns every skipped test into a failure.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

FUZZTIME ?= 20s
PACKAGES ?= ./...
BUILD := e2e/.build

.PHONY: help run build setup test lint fmt-check generated-check vet staticcheck go-test browser-test signed-out-cost generate fuzz bench vuln clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name what; do printf '  make %-15s %s\n' "$$name" "$$what"; done

run: ## start the demo: a provider, Vestibule and a page, on http://localhost:8080
	go run ./cmd/vestibule demo

build: ## build ./vestibule
	CGO_ENABLED=0 go build -trimpath -o vestibule ./cmd/vestibule

setup: ## install what the tests need and this machine lacks
	@./e2e/setup.sh

# One after the other even under -j: the tests want the machine for themselves.
test: setup ## everything: lint, generated files, Go tests with the race detector, browser tests
	@$(MAKE) lint
	@$(MAKE) go-test
	@$(MAKE) browser-test
	@$(MAKE) signed-out-cost

lint: fmt-check generated-check vet staticcheck ## formatting, generated files, go vet, staticcheck

fmt-check:
	@echo "== gofmt"
	@unformatted=$$(find . -name '*.go' -not -path '*/node_modules/*' -print0 | xargs -0 gofmt -l); \
	if [[ -n $$unformatted ]]; then printf 'not formatted, run gofmt -w on:\n%s\n' "$$unformatted"; exit 1; fi

# Each template is generated anew beside what is committed; nothing is written. docs/configuration.md is compared by a Go test.
generated-check:
	@echo "== generated files"
	@mkdir -p $(BUILD); stale=; \
	while IFS= read -r -d '' template; do \
		go tool templ generate -log-level error -f "$$template" -stdout > $(BUILD)/generated.go; \
		cmp -s $(BUILD)/generated.go "$${template%.templ}_templ.go" || stale+=" $$template"; \
	done < <(find . -name '*.templ' -not -path '*/node_modules/*' -print0); \
	while IFS= read -r -d '' generated; do \
		[[ -f $${generated%_templ.go}.templ ]] || stale+=" $$generated"; \
	done < <(find . -name '*_templ.go' -not -path '*/node_modules/*' -print0); \
	rm -f $(BUILD)/generated.go; \
	if [[ -n $$stale ]]; then echo "stale, run \"make generate\":$$stale"; exit 1; fi

vet:
	@echo "== go vet"
	@go vet $(PACKAGES)

staticcheck:
	@echo "== staticcheck (the first run compiles it)"
	@go tool staticcheck $(PACKAGES)

go-test: ## the Go tests alone, with the race detector; PACKAGES=./session/... for some
	@echo "== go test -race (minutes on a cold cache)"
	@./e2e/gotest.sh $(PACKAGES)

browser-test: setup ## the browser tests alone, a real Next.js application among them; pictures are left in e2e/screenshots
	@echo "== browser tests (Chromium, Next.js, nginx, Caddy; some minutes)"
	@npm --prefix e2e test --silent </dev/null

signed-out-cost: ## what a signed-out tab costs: its 401 beside a bare handler, which it may cost twice (bench has the rest)
	@echo "== what a 401 costs (wrk; half a minute)"
	@./bench/run.sh -only signed-out -round 2s

generate: ## write the generated files anew: templ's Go code, docs/configuration.md
	go tool templ generate
	go test ./config -run TestReferencePage -update

fuzz: ## each fuzz target for FUZZTIME (20s)
	@packages=$$(go list $(PACKAGES)); for package in $$packages; do \
		targets=$$(go test -list '^Fuzz' "$$package"); \
		for target in $$(grep '^Fuzz' <<<"$$targets" || true); do \
			echo "== $$package $$target for $(FUZZTIME)"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package"; \
		done; \
	done

bench: ## load the built binary beside a bare handler, and print the ratio
	./bench/run.sh

# govulncheck comes from the module proxy and asks vuln.go.dev: without them there is no verdict, which is not a failure and not a pass.
vuln: ## known vulnerabilities in what is built, where govulncheck can be had
	@if ! GOBIN=$(CURDIR)/$(BUILD) go install golang.org/x/vuln/cmd/govulncheck@latest; then echo "vuln: no verdict: govulncheck cannot be fetched"; exit 0; fi; \
	status=0; $(BUILD)/govulncheck $(PACKAGES) || status=$$?; \
	case $$status in \
		0) ;; \
		3) exit 3 ;; \
		*) echo "vuln: no verdict: govulncheck did not run to its end (status $$status)" ;; \
	esac

clean: ## remove what the targets made
	rm -rf vestibule $(BUILD) e2e/node_modules e2e/screenshots e2e/nextapp/node_modules e2e/nextapp/.next
