package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/lab"
)

func newArena(t *testing.T) *arena {
	t.Helper()
	s, err := readSimulation([]string{"--replicas=2", "--tabs=1"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := startArena(t.Context(), process{lookup: func(string) (string, bool) { return "", false }}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return a
}

func TestAKilledReplicaAnswersNobodyAndWritesNothing(t *testing.T) {
	a := newArena(t)
	c := newBrowser(t)
	health := func(n int) int { status, _ := get(t, c, "http://"+a.replicas[n].address+"/healthz"); return status }
	until(t, "both serve", func() bool { return health(0) == http.StatusOK && health(1) == http.StatusOK })
	dead := a.book(store{Store: a.memory, feed: a.memory}, a.replicas[0])
	living := a.book(store{Store: a.memory, feed: a.memory}, a.replicas[1])
	write := kv.Write{Key: "refresh/one", Value: []byte("L"), TTL: time.Minute, If: kv.Any}
	if _, err := dead.Put(t.Context(), write); err != nil {
		t.Fatal(err)
	}

	a.replicas[0].kill()
	if got := health(0); got != 0 {
		t.Errorf("the killed replica: got %d, want no answer", got)
	}
	if got := health(1); got != http.StatusOK {
		t.Errorf("the other one: got %d, want 200", got)
	}
	write.Key = "refresh/two"
	_, put := dead.Put(t.Context(), write)
	_, read := dead.Get(t.Context(), "refresh/one")
	_, many := dead.GetMany(t.Context(), "refresh/one")
	for what, err := range map[string]error{
		"put": put, "get": read, "getmany": many, "ping": dead.Ping(t.Context()),
		"delete": dead.Delete(t.Context(), "refresh/one", kv.Any), "publish": dead.feed.Publish(t.Context(), []byte("over")),
	} {
		if !errors.Is(err, errSevered) {
			t.Errorf("%s by the killed replica: got %v, want that it is severed", what, err)
		}
	}
	if _, err := living.Get(t.Context(), "refresh/one"); err != nil {
		t.Errorf("what was written before the kill: %v", err)
	}
	if _, err := living.Get(t.Context(), "refresh/two"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("what was written after the kill: got %v, want nothing", err)
	}
	if got := a.ledger.summary(2, 1); got.Kinds["refresh"] != (kindSummary{1, len("refresh/one") + 1}) || got.Bytes != (len("refresh/one")+1)/2 || got.Faults != 0 {
		t.Errorf("the ledger says %+v, want one entry, and no fault for the kill", got)
	}
}

func TestAnInterruptedSimulationEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	errw := &screen{}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, process{
			args: []string{"simulate", "--tabs=2"}, environ: func() []string { return nil },
			lookup: func(string) (string, bool) { return "", false }, out: &screen{}, errw: errw,
		})
	}()
	until(t, "tabs ask", func() bool { return strings.Contains(errw.String(), "asking") })
	stop()
	if got := <-ended; got != 1 || !strings.Contains(errw.String(), "vestibule: error: the run was stopped") {
		t.Errorf("got status %d and %q", got, errw)
	}
	if got := errw.String(); !strings.Contains(got, "there is no verdict; it came to ") || strings.Contains(got, "context canceled") {
		t.Errorf("got %q, want how far it had come, and no word of ours for a signal", got)
	}
}

func hisAnswerDied(r *report) {
	r.Killed, r.SignedOut, r.Excused, r.Reuses = true, 1, 1, 1
	r.Refreshes, r.Expected, r.Again, r.Lost, r.Died = 5, 4, 1, 1, 1
}

func TestReportsSayWhatWentWrong(t *testing.T) {
	good := report{Setting: setting{Mode: "cookie", Cache: "redis", Grace: "0s"}, Report: lab.Report{Refreshes: 4, Expected: 4}}
	for name, c := range map[string]struct {
		change func(r *report)
		want   string // "" for a good verdict
		text   string
	}{
		"nothing":         {func(*report) {}, "", "good: nothing was refreshed twice, and nobody was signed out\n"},
		"a sign-out":      {func(r *report) { r.SignedOut, r.StillOut = 2, 1 }, "2 sessions were signed out", "2, of which 0 lost with a replica that was killed; 1 still out"},
		"a reuse":         {func(r *report) { r.Reuses = 1 }, "the provider saw 1 refresh tokens come back", "bad: the provider saw"},
		"a second one":    {func(r *report) { r.Twice = 1 }, "a second time within their generation", "1 asked twice"},
		"nobody died":     {func(r *report) { r.Setting.Kill = true }, "no replica was killed", "bad: "},
		"somebody died":   {func(r *report) { r.Setting.Kill, r.Killed = true, true }, "", "good: a replica died, and nobody was signed out"},
		"his answer died": {func(r *report) { hisAnswerDied(r) }, "", "good: 1 session was signed out, whose tokens died with the replica that had asked for them: the provider forgives nothing; all others live\n"},
		"his answer died, and there was a short grace": {func(r *report) { hisAnswerDied(r); r.Setting.Grace = "5s" }, "",
			"died with the replica that had asked for them: a grace of 5s may be over before another replica takes over; all others live\n"},
		"nobody died, and an answer was lost": {func(r *report) { hisAnswerDied(r); r.Killed = false }, "1 sessions were signed out", "bad: "},
		"told to come later":                  {func(r *report) { r.Requests, r.Unavailable = 100, 2 }, "2 of 100 requests were told 503", "503 2"},
		"told to come later by a dead cache":  {func(r *report) { r.Requests, r.Unavailable, r.Tabs, r.CacheFaults = 100, 20, 10, 2 }, "", "good: "},
		"the cache was away": {func(r *report) { r.Cache.Faults = 3; r.SignedOut = 1 }, "1 sessions were signed out",
			"note: the cache left 3 calls without an answer, and replicas that cannot ask each other refresh on their own\n"},
	} {
		r := good
		c.change(&r)
		err := r.verdict()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if got := r.text(); !strings.Contains(got, c.text) {
			t.Errorf("%s: want %q in\n%s", name, c.text, got)
		}
	}
}
