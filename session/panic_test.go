package session_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/session"
)

// told keeps what was logged, one record a line.
type told struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *told) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// panics are the records of panics.
func (l *told) panics() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, "msg=panic") {
			out = append(out, line)
		}
	}
	return out
}

func (l *told) logging(c *session.Config) { c.Logger = slog.New(slog.NewTextHandler(l, nil)) }

// onePanic checks that a panic became one record with a stack that leads here.
func (l *told) onePanic(t testing.TB) {
	t.Helper()
	lines := l.panics()
	if len(lines) != 1 {
		t.Fatalf("%d records of a panic, want one:\n%s", len(lines), strings.Join(lines, ""))
	}
	for _, want := range []string{"level=ERROR", "the provider's client is broken", "panic_test.go", "stack="} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("the record lacks %q: %s", want, lines[0])
		}
	}
}

func broken() { panic("the provider's client is broken") }

func TestAPanicInARefreshIsUnavailableAndTheNextRequestIsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &told{}
		h := newHouse(t, log.logging)
		s, b := h.signIn(t)
		other, _ := h.signIn(t)
		pass(time.Hour)
		h.provider.before = func(call int) error {
			if call == 1 {
				broken()
			}
			return nil
		}
		_, err := h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		log.onePanic(t)
		generation(t, h.fresh(t, other, session.Need{}), 1)
		generation(t, h.fresh(t, h.load(t, b), session.Need{}), 1)
		count(t, "calls", h.provider.refreshes(), 3)
	})
}

// Everybody who waited for the flight hears of it, at every replica, long before their patience ends.
func TestAPanicInARefreshKeepsNobodyWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &told{}
		h := newHouse(t, log.logging)
		houses := []*house{h, h.replica(t), h.replica(t)}
		s, _ := h.signIn(t)
		pass(time.Hour)
		h.provider.before = func(call int) error {
			if call == 1 {
				pass(time.Second)
				broken()
			}
			return nil
		}
		var wg sync.WaitGroup
		start := time.Now()
		wg.Go(func() {
			_, err := h.Fresh(t.Context(), s, session.Need{})
			unavailable(t, err)
		})
		pass(100 * time.Millisecond)
		for i := range 30 {
			wg.Go(func() { _, _ = houses[i%3].Fresh(t.Context(), s, session.Need{}) }) // a token or a 503: soon
		}
		wg.Wait()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("they waited %s for a flight that was over after 1s", took)
		}
		log.onePanic(t)
		generation(t, h.fresh(t, s, session.Need{}), 1)
	})
}

func TestAPanicInARefreshOfALivingTokenServesTheLivingToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &told{}
		h := newHouse(t, log.logging)
		s, _ := h.signIn(t)
		pass(56 * time.Minute)
		h.provider.before = func(call int) error {
			if call == 1 {
				broken()
			}
			return nil
		}
		if got := h.fresh(t, s, session.Need{}); got != s {
			t.Error("the living token is not served")
		}
		log.onePanic(t)
		pass(5 * time.Second)
		generation(t, h.fresh(t, s, session.Need{}), 1)
	})
}

// brokenRevoke panics whenever a refresh token is to be revoked.
type brokenRevoke struct{ *provider }

func (brokenRevoke) Revoke(context.Context, string) error { broken(); return nil }

func TestAPanicInARevocationEndsTheSessionAllTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &told{}
		h := newHouse(t, log.logging, func(c *session.Config) { c.Provider = brokenRevoke{c.Provider.(*provider)} })
		s, b := h.signIn(t)
		start := time.Now()
		h.End(t.Context(), s)
		if took := time.Since(start); took > 0 {
			t.Errorf("the sign-out waited %s for a revocation that was over", took)
		}
		log.onePanic(t)
		if err := h.Drain(t.Context()); err != nil {
			t.Errorf("drain: %v", err)
		}
		_, err := h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)
		_, b = h.signIn(t)
		h.load(t, b)
	})
}

// The new tokens of a session that was ended meanwhile are revoked within the flight.
func TestAPanicInARevocationWithinARefreshIsContainedToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &told{}
		h := newHouse(t, log.logging, func(c *session.Config) {
			c.Provider, c.Timing.Revoke = brokenRevoke{c.Provider.(*provider)}, time.Millisecond
		})
		s, _ := h.signIn(t)
		pass(time.Hour)
		h.provider.delay = 3 * time.Second
		answer := make(chan error, 1)
		go func() {
			_, err := h.Fresh(context.Background(), s, session.Need{})
			answer <- err
		}()
		pass(time.Second)
		h.End(t.Context(), s)
		if err := <-answer; err == nil {
			t.Error("a token of a session that was ended")
		}
		if err := h.Drain(t.Context()); err != nil {
			t.Errorf("drain: %v", err)
		}
		count(t, "panics told", len(log.panics()), 2)
	})
}
