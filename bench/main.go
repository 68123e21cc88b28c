// Command bench measures the built binary beside a bare echo handler that answers the same bytes, in one run: both are loaded in
// turn with wrk, several rounds, and what is printed is the median. CPU time per request is the server process's own, from
// /proc; it is the steadiest figure on a machine shared with the load generator. Machine tokens are measured beside a bare net/http
// handler and, where nginx is installed, beside its proxy_cache.
//
//	build → start provider, Vestibule and the bare handler → sign in → wrk in rounds → table
//
// Read this file for what is measured, machine.go for machine tokens, target.go for the processes, wrk.go for the load.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// What is asked for.
const (
	tokenPath  = "/api/cognito-token"
	verifyPath = "/api/auth/verify"
)

// Targets, as ratios to the bare handler measured in the same run.
const (
	maxReturning = 2.5
	maxUnseen    = 4.5
	maxSignedOut = 2.0
	maxVerify    = 3.5  // its answer is all headers, which cost more to write than a body
	maxCookie    = 3400 // bytes of name and value
	maxMemory    = 40   // MB
	maxStart     = 100 * time.Millisecond
)

type options struct {
	rounds, connections int
	round               time.Duration
	only                string // browser, machine, signed-out, or "" for all
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of each load")
	flag.IntVar(&o.connections, "connections", 64, "connections of wrk")
	flag.DurationVar(&o.round, "round", 5*time.Second, "length of one round")
	flag.StringVar(&o.only, "only", "", "browser or machine: half of it; signed-out: what a signed-out tab costs, alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

// load is one kind of request against one server.
type load struct {
	name    string
	target  *target
	path    string
	cookies []string // Cookie headers, one after the other; none: no header
	post    *post    // a token request of a service in the place of a browser's
	pause   int      // ms that a connection pauses between such requests
	limit   float64  // largest ratio to the first load; 0: none
	status  int
	rounds  []result
}

func run(ctx context.Context, o options, out io.Writer) error {
	fmt.Fprintln(out, "building and starting ...")
	stage, err := newStage(ctx)
	if err != nil {
		return err
	}
	defer stage.close()
	loads := []*load{
		{name: "bare echo handler, no cookie", target: stage.bare, path: tokenPath, status: 200},
		{name: "token answer, returning browser", target: stage.vestibule, path: tokenPath, cookies: stage.cookies[:1], limit: maxReturning, status: 200},
		{name: "token answer, cookie never seen", target: stage.vestibule, path: tokenPath, cookies: stage.cookies, limit: maxUnseen, status: 200},
		{name: "401, no cookie", target: stage.vestibule, path: tokenPath, limit: maxSignedOut, status: 401},
		{name: "forward-auth, returning browser", target: stage.vestibule, path: verifyPath, cookies: stage.cookies[:1], limit: maxVerify, status: 200},
		{name: "forward-auth 401, no cookie", target: stage.vestibule, path: verifyPath, limit: maxSignedOut, status: 401},
	}
	if o.only == "signed-out" {
		alone := []*load{loads[0], loads[3]}
		if err := rounds(ctx, o, alone, out); err != nil {
			return err
		}
		return reportLoads(out, alone)
	}
	if o.only != "machine" {
		if err := rounds(ctx, o, loads, out); err != nil {
			return err
		}
		err = report(out, stage, loads)
	}
	if o.only != "browser" {
		full, paced := stage.machineLoads("", 0), stage.machineLoads(", paced", pacedPause)
		if err := rounds(ctx, o, slices.Concat(full, paced), out); err != nil {
			return err
		}
		err = errors.Join(err, reportMachine(out, full, paced))
	}
	return err
}

// rounds loads the targets in turn.
func rounds(ctx context.Context, o options, loads []*load, out io.Writer) error {
	for round := range o.rounds {
		for _, l := range loads {
			fmt.Fprintf(out, "round %d of %d: %s\n", round+1, o.rounds, l.name)
			r, err := fire(ctx, o, l)
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			l.rounds = append(l.rounds, r)
		}
	}
	return nil
}

// report prints the table and fails if a target is missed.
func report(out io.Writer, s *stage, loads []*load) error {
	missed := table(out, loads)
	fmt.Fprintf(out, "\nsession cookie, bytes of name and value: %d (at most %d), with attributes as the browser stores it: %d (at most 4096)\n", s.cookieBytes, maxCookie, s.storedBytes)
	memory, err := s.vestibule.memory()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "memory after the load: %.1f MB (at most %d)\n", memory, maxMemory)
	fmt.Fprintf(out, "start to first answer: %s (at most %s)\n", s.vestibule.started.Round(time.Millisecond), maxStart)
	if s.cookieBytes > maxCookie || s.storedBytes > 4096 {
		missed = append(missed, "cookie bytes")
	}
	if memory > maxMemory {
		missed = append(missed, "memory")
	}
	if s.vestibule.started > maxStart {
		missed = append(missed, "start")
	}
	return missing(missed)
}

// reportLoads prints the table alone, and fails if a limit is missed.
func reportLoads(out io.Writer, loads []*load) error { return missing(table(out, loads)) }

// missing makes an error of what was missed.
func missing(missed []string) error {
	if len(missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(missed, ", "))
	}
	return nil
}

// table prints a row for each load, and gives those that missed their limit.
func table(out io.Writer, loads []*load) (missed []string) {
	fmt.Fprintf(out, "\n%-34s %12s %8s %8s %8s %8s %10s\n", "", "CPU us/req", "x bare", "most", "p50 ms", "p99 ms", "req/s")
	for _, l := range loads {
		cpu := median(l.rounds, func(r result) float64 { return r.cpu })
		ratio := median(ratios(l.rounds, loads[0].rounds), func(r result) float64 { return r.cpu })
		most := "-"
		if l.limit > 0 {
			most = fmt.Sprintf("%.1f", l.limit)
			if ratio > l.limit {
				missed = append(missed, l.name)
			}
		}
		fmt.Fprintf(out, "%-34s %12.1f %8.2f %8s %8.2f %8.2f %10.0f\n", l.name, cpu, ratio, most,
			median(l.rounds, func(r result) float64 { return r.p50 }), median(l.rounds, func(r result) float64 { return r.p99 }),
			median(l.rounds, func(r result) float64 { return r.rate }))
	}
	return missed
}

// ratios compares each round with the bare handler's of the same round: a machine that is slow for a minute is slow for both.
func ratios(rounds, bare []result) []result {
	out := make([]result, len(rounds))
	for i := range rounds {
		out[i].cpu = rounds[i].cpu / bare[i].cpu
	}
	return out
}

func median(rounds []result, of func(result) float64) float64 {
	var all []float64
	for _, r := range rounds {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
