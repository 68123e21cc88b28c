package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed load.lua
var script []byte

//go:embed machine.lua
var machineScript []byte

// result is one round.
type result struct {
	cpu      float64 // µs of the server's processor time per request
	p50, p99 float64 // ms
	rate     float64 // requests per second
}

// fire runs wrk once and reads the server's processor time around it.
func fire(ctx context.Context, o options, l *load) (result, error) {
	dir, err := os.MkdirTemp("", "vestibule-wrk")
	if err != nil {
		return result{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	lua, cookies := filepath.Join(dir, "load.lua"), filepath.Join(dir, "cookies")
	use, args := script, []string{cookies, l.path}
	if l.post != nil {
		use, args = machineScript, []string{l.post.authorization, l.post.body, strconv.Itoa(l.pause)}
	}
	if err := os.WriteFile(lua, use, 0o600); err != nil {
		return result{}, err
	}
	if err := os.WriteFile(cookies, []byte(strings.Join(l.cookies, "\n")), 0o600); err != nil {
		return result{}, err
	}
	if err := l.answers(ctx); err != nil {
		return result{}, err
	}
	before, err := l.target.cpu()
	if err != nil {
		return result{}, err
	}
	wrk := exec.CommandContext(ctx, "wrk", append([]string{"-t1", "-c" + strconv.Itoa(o.connections),
		"-d" + strconv.Itoa(int(o.round/time.Second)) + "s", "-s", lua, l.target.url, "--"}, args...)...)
	out, err := wrk.CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	after, err := l.target.cpu()
	if err != nil {
		return result{}, err
	}
	return parse(string(out), l.status, after-before)
}

// request is one of those that wrk makes.
func (l *load) request(ctx context.Context) (*http.Request, error) {
	if l.post != nil {
		return l.post.request(ctx, l.target.url)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.target.url+l.path, nil)
	if err == nil && len(l.cookies) > 0 {
		r.Header.Set("Cookie", l.cookies[0])
	}
	return r, err
}

// answers asks once and fails unless the status is the expected one: wrk tells no more of it than whether it is above 399.
func (l *load) answers(ctx context.Context) error {
	r, err := l.request(ctx)
	if err != nil {
		return err
	}
	res, err := http.DefaultTransport.RoundTrip(r) // a client would follow a redirect
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != l.status {
		return fmt.Errorf("status %d, want %d", res.StatusCode, l.status)
	}
	return nil
}

// parse reads the line that the scripts print: requests, failed ones, statuses above 399, p50, p99 and the round's length in µs.
func parse(out string, status int, cpu time.Duration) (result, error) {
	_, line, found := strings.Cut(out, "RESULT ")
	if !found {
		return result{}, fmt.Errorf("wrk printed no result: %s", out)
	}
	var requests, p50, p99, micros float64
	var failed, bad int
	if _, err := fmt.Sscanf(line, "%g %d %d %g %g %g", &requests, &failed, &bad, &p50, &p99, &micros); err != nil {
		return result{}, fmt.Errorf("read wrk's result: %w", err)
	}
	want := 0.0
	if status > 399 {
		want = requests
	}
	if failed > 0 || float64(bad) != want || requests == 0 {
		return result{}, fmt.Errorf("%g requests, %d failed, %d with a status above 399, want status %d", requests, failed, bad, status)
	}
	return result{
		cpu: float64(cpu.Microseconds()) / requests, p50: p50 / 1000, p99: p99 / 1000, rate: requests / (micros / 1e6),
	}, nil
}
