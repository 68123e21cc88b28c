package lab

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// tally counts what tabs are answered.
type tally struct {
	mu     sync.Mutex
	phase  string
	counts counts
	waited []time.Duration // of answers that had to wait for a refresh
	prompt []time.Duration // of the others
}

// counts are the numbers of a tally.
type counts struct {
	signedIn, requests, ok, unauthorized, unavailable, failed, cut int
	signedOut, strays, unanswered                                  int
}

// shortestWait: an answer that came sooner did not wait for a refresh, though one was under way.
const shortestWait = 20 * time.Millisecond

func (t *tally) locked(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

func (t *tally) enter(phase string) { t.locked(func() { t.phase = phase }) }
func (t *tally) signedIn()          { t.locked(func() { t.counts.signedIn++ }) }
func (t *tally) signedOut()         { t.locked(func() { t.counts.signedOut++ }) }
func (t *tally) strayed()           { t.locked(func() { t.counts.strays++ }) }
func (t *tally) unanswered()        { t.locked(func() { t.counts.unanswered++ }) }

// broken counts a request without an answer; cut: its replica was killed.
func (t *tally) broken(cut bool) {
	t.locked(func() {
		t.counts.requests++
		if cut {
			t.counts.cut++
		} else {
			t.counts.failed++
		}
	})
}

// answered counts an answer; during: a refresh of its session was at the provider meanwhile.
func (t *tally) answered(status int, took time.Duration, during bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.requests++
	switch status {
	case http.StatusOK:
		t.counts.ok++
		if during && took >= shortestWait {
			t.waited = append(t.waited, took)
		} else {
			t.prompt = append(t.prompt, took)
		}
	case http.StatusUnauthorized:
		t.counts.unauthorized++
	case http.StatusServiceUnavailable:
		t.counts.unavailable++
	default:
		t.counts.failed++
	}
}

func (t *tally) progress() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Progress{Phase: t.phase, SignedIn: t.counts.signedIn, Requests: t.counts.requests, SignedOut: t.counts.signedOut}
}

// Times tells of durations, in milliseconds.
type Times struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50Ms"`
	P99   float64 `json:"p99Ms"`
	Most  float64 `json:"mostMs"`
}

func timesOf(all []time.Duration) Times {
	if len(all) == 0 {
		return Times{}
	}
	slices.Sort(all)
	at := func(part float64) float64 {
		return float64(all[min(len(all)-1, int(part*float64(len(all))))]) / float64(time.Millisecond)
	}
	return Times{Count: len(all), P50: at(0.5), P99: at(0.99), Most: at(1)}
}
