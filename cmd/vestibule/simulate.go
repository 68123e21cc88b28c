package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"strings"
	"sync"
	"time"

	"vestibule/config"
	"vestibule/idp/devidp"
	"vestibule/lab"
)

// simulate is the race laboratory: real replicas, a hostile provider and browsers with many tabs, all on this machine, and a
// verdict. The status is 1 if anybody was signed out or a refresh token was spent twice.
func simulate(ctx context.Context, p process, args []string) error {
	s, err := readSimulation(args)
	if err != nil {
		return err
	}
	stdlog.SetOutput(io.Discard) // net/http prints what a killed replica leaves behind there
	a, err := startArena(ctx, p, s)
	if err != nil {
		return err
	}
	defer a.close()
	show := newProgress(p.errw, s)
	measured, err := lab.Run(ctx, a.experiment(show.tell))
	show.end()
	if ctx.Err() != nil && err != nil {
		return stoppedAt(show.reached())
	}
	if err != nil {
		return err
	}
	cache := a.ledger.summary(s.sessions, measured.Requests)
	measured.CacheFaults = cache.Faults
	r := report{Setting: settingOf(s), Report: measured, Reuses: a.provider.Stats().Reuses, Cache: cache}
	if err := r.write(p.out, s.json); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return r.verdict()
}

// stoppedAt says that there is no verdict because somebody stopped the run, and how far it had come.
func stoppedAt(reached string) error {
	if reached == "" {
		return errors.New("the run was stopped before anybody asked: there is no verdict")
	}
	return fmt.Errorf("the run was stopped, so there is no verdict; it came to %s", reached)
}

// progress shows how it goes: on a terminal in one line, elsewhere in a line now and then.
type progress struct {
	to       io.Writer
	terminal bool
	duration time.Duration
	mu       sync.Mutex
	phase    string
	next     time.Duration
	last     string // what was told last
}

// betweenLines is the pause between two lines where there is no terminal.
const betweenLines = 5 * time.Second

func newProgress(w io.Writer, s simulation) *progress {
	return &progress{to: w, terminal: isTerminal(w), duration: s.duration}
}

func (p *progress) tell(now lab.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf("%3.0fs  %s: %d signed in, %d requests, %d refreshes, %d signed out",
		now.Elapsed.Seconds(), now.Phase, now.SignedIn, now.Requests, now.Refreshes, now.SignedOut)
	p.last = strings.TrimSpace(line)
	switch {
	case p.terminal:
		_, _ = fmt.Fprintf(p.to, "\r\x1b[K%s", fitting(line, widthOf(p.to)))
	case now.Phase != p.phase || now.Elapsed >= p.next:
		p.phase, p.next = now.Phase, now.Elapsed+betweenLines
		_, _ = fmt.Fprintln(p.to, line)
	}
}

// reached is how far it had come.
func (p *progress) reached() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// end takes the line away: the report has it all.
func (p *progress) end() {
	if p.terminal {
		_, _ = io.WriteString(p.to, "\r\x1b[K")
	}
}

// report is what is printed.
type report struct {
	Setting setting `json:"setting"`
	lab.Report
	Reuses int64        `json:"reuses"` // refresh tokens that the provider saw come back after their time
	Cache  cacheSummary `json:"cache"`
}

// setting is what was asked for, in a form for readers.
type setting struct {
	Mode      string `json:"mode"`
	Cache     string `json:"cache"` // its kind alone: a URL may hold a password
	Rotation  bool   `json:"rotation"`
	Grace     string `json:"grace"`
	Latency   string `json:"idpLatency"`
	TokenLife string `json:"tokenLife"`
	Kill      bool   `json:"kill"`
}

func settingOf(s simulation) setting {
	return setting{
		Mode: s.mode, Cache: s.cacheKind(), Rotation: s.rotation, Grace: s.grace.String(), Latency: s.latency.String(),
		TokenLife: s.tokenLife.String(), Kill: s.kill,
	}
}

// faults are those of the run, and what only the provider knows.
func (r report) faults() []string {
	out := r.Faults()
	// Whoever takes over from a dead replica can only try the token again: that is the reuse of an answer that was lost.
	if r.Reuses > int64(r.Again) {
		out = append(out, fmt.Sprintf("the provider saw %d refresh tokens come back that were spent", r.Reuses))
	}
	if r.Setting.Kill && !r.Killed {
		out = append(out, "no replica was killed: no refresh came at the right moment")
	}
	return out
}

func (r report) verdict() error {
	var all config.Faults
	for _, f := range r.faults() {
		all = append(all, config.Fault{Problem: f})
	}
	if len(all) == 0 {
		return nil
	}
	all[len(all)-1].Hint = `"What a bad verdict means" in docs/scale.md`
	return faultsError{all}
}

func (r report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(struct {
			report
			Good   bool     `json:"good"`
			Faults []string `json:"faults"`
		}{r, len(r.faults()) == 0, append([]string{}, r.faults()...)})
	}
	_, err := io.WriteString(w, r.text())
	return err
}

// experiment is what the laboratory is to do with the arena.
func (a *arena) experiment(tell func(lab.Progress)) lab.Config {
	s := a.simulation
	c := lab.Config{
		Origin: a.origin, Witness: a.witness, Sessions: s.sessions, Tabs: s.tabs, Duration: s.duration, Every: s.every(),
		TokenLife: s.tokenLife, Progress: tell,
		SignIn: func(ctx context.Context, authorizeURL string, n int) (string, error) {
			users := a.provider.Users()
			return a.provider.SignIn(ctx, authorizeURL, users[n%len(users)])
		},
	}
	for _, r := range a.replicas {
		c.Replicas = append(c.Replicas, r.address)
	}
	if s.kill {
		c.Kill = &lab.Kill{At: lab.Decided, After: killAfter, Do: func(n int) { a.replicas[n].kill() }}
		c.Excused = s.rotation && s.grace < lab.TakeOver
	}
	return c
}

// people are the provider's users: as many as sessions, or as it holds.
func people(sessions int) []devidp.User {
	var all []devidp.User
	for n := range min(sessions, mostPeople) {
		all = append(all, devidp.User{
			Email: fmt.Sprintf("person%d@example.com", n+1), Name: fmt.Sprintf("Person %d", n+1), Password: "wonderland", Groups: []string{"readers"},
		})
	}
	return all
}
