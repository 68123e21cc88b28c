package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"vestibule/config"
	"vestibule/secret"
)

// process is what the operating system gives a program.
type process struct {
	args      []string
	environ   func() []string
	lookup    func(string) (string, bool)
	out, errw io.Writer
}

const usage = `Vestibule keeps the OAuth session of a web application in sealed cookies.

  vestibule demo      try it: a provider, a sign-in and a page, with nothing configured
  vestibule serve     serve, as configured by file, environment and flags
  vestibule check     say everything that is wrong with the configuration
  vestibule simulate  race many tabs and replicas against each other, and say who was signed out
  vestibule healthcheck
                      ask the one that runs here whether it lives; --url=http://… asks that address
  vestibule keygen    make a key for session.keys
  vestibule version   say which version this is

Flags are the configuration's keys: --provider.client_id=abc. --config names the file.
docs/configuration.md lists them all.
`

// run is the whole program; it returns the exit status: 0, 1 for a fault, 2 for a wrong command line.
func run(ctx context.Context, p process) int {
	if len(p.args) == 0 {
		_, _ = io.WriteString(p.errw, usage)
		return 2
	}
	verb, args := p.args[0], p.args[1:]
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		verb = "help"
	}
	var err error
	switch verb {
	case "serve":
		err = serve(ctx, p, args)
	case "demo":
		err = demo(ctx, p, args)
	case "check":
		err = check(ctx, p, args)
	case "simulate":
		err = simulate(ctx, p, args)
	case "healthcheck":
		err = healthcheck(ctx, p, args)
	case "keygen":
		err = keygen(p, args)
	case "version", "--version", "-v":
		_, _ = fmt.Fprintln(p.out, version())
	case "help", "--help", "-h":
		_, _ = io.WriteString(p.out, usageOf(p.args[0]))
	default:
		complain(p.errw, hinted{fmt.Errorf("unknown command %q", clip(verb)), `run "vestibule help"`})
		return 2
	}
	if err != nil {
		complain(p.errw, err)
		return 1
	}
	return 0
}

// usageOf is the page of a verb that has one of its own, or everybody's.
func usageOf(verb string) string {
	if verb == "simulate" {
		return simulateUsage
	}
	return usage
}

// hinted is an error with the cure beside it.
type hinted struct {
	error
	hint string
}

// Unwrap gives the error without the hint.
func (h hinted) Unwrap() error { return h.error }

// complain writes an error as operators read it: one line for the fault, one for the cure.
func complain(w io.Writer, err error) {
	var several faultsError
	faults := config.Faults{{Problem: err.Error(), Hint: hintOf(err)}}
	if errors.As(err, &several) {
		faults = several.faults
	}
	for _, f := range faults {
		text := f.Problem
		if f.Key != "" {
			text = f.Error()
		}
		_, _ = fmt.Fprintf(w, "vestibule: error: %s\n", text)
		if f.Hint != "" {
			_, _ = fmt.Fprintf(w, "vestibule: hint: %s\n", f.Hint)
		}
	}
}

func hintOf(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

// faultsError carries every fault of a configuration as one error.
type faultsError struct{ faults config.Faults }

// Error names the faults; complain prints them one by one.
func (f faultsError) Error() string {
	var all []string
	for _, fault := range f.faults {
		all = append(all, fault.Error())
	}
	return strings.Join(all, "; ")
}

func load(p process, args []string) (*config.Config, config.Faults) {
	return config.Load(config.Source{Args: args, LookupEnv: p.lookup, Environ: p.environ})
}

func keygen(p process, args []string) error {
	if len(args) > 0 {
		return hinted{errors.New("keygen takes no arguments"), `run "vestibule keygen" for each key you need`}
	}
	_, err := fmt.Fprintln(p.out, secret.GenerateKey())
	return err
}

// revision is the commit that an image is built from: -ldflags "-X main.revision=…". The linker sets it, and nothing else: the sources
// that an image is made of come without their history.
var revision string

// version is the module's version and the commit it was built from, as far as the build knows them.
func version() string {
	number, commit := "devel", ""
	if revision != "" {
		commit = " " + revision[:min(12, len(revision))]
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && info.Main.Version != "(devel)" {
			number = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = " " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return "vestibule " + number + commit + " " + runtime.Version()
}

func clip(s string) string { return s[:min(len(s), 40)] }
