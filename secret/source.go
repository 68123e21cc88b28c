package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// refreshFloor is the least time between two reads of one reference, so that a
	// provider that refuses every call does not become a flood at Secrets Manager.
	refreshFloor = 10 * time.Second
	// fetchTimeout bounds one read, whoever waits for it.
	fetchTimeout = 10 * time.Second
	// keepFor is how long a value is believed, give or take a tenth: what AWS's own
	// caching clients do, spread so that replicas do not ask in step.
	keepFor = time.Hour
	// retryAfter is how soon a failed read is tried again.
	retryAfter = 5 * time.Minute
)

// errPanicked is how a read ends that panicked.
var errPanicked = errors.New("reading ended in a panic, which is in the log")

// source is where the bytes of a Value live and how they are read again.
type source struct {
	ref    string
	fetch  func(context.Context) ([]byte, error) // nil: the bytes never change
	now    func() time.Time
	failed func(ref string, err error)
	log    *slog.Logger
	held   atomic.Pointer[held]

	mu     sync.Mutex
	accept []func([]byte) error
	flight *flight
	tried  time.Time // end of the last read
	due    time.Time // when Run reads again
	err    error     // outcome of the last read
}

// held is one state of a source; it is replaced, never changed.
type held struct {
	current []byte
	former  []byte // what current replaced, nil at first
	version uint64 // grows with each replacement
}

// flight is one read that several callers wait for.
type flight struct {
	done chan struct{}
	err  error
}

// open does the first read, without which there is no source.
func (s *source) open(ctx context.Context) error {
	fresh, err := s.read(ctx)
	if err != nil {
		return err
	}
	s.held.Store(&held{current: fresh})
	s.schedule(nil)
	return nil
}

// guard adds a check that fresh bytes must pass before they replace good ones.
func (s *source) guard(check func([]byte) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accept = append(s.accept, check)
}

// refresh joins the read that is under way, or starts one unless the floor forbids it.
func (s *source) refresh(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("wait for %s: %w", s.ref, context.Cause(ctx))
	}
	s.mu.Lock()
	f := s.flight
	if f == nil {
		if s.now().Sub(s.tried) < refreshFloor {
			defer s.mu.Unlock()
			return s.err
		}
		f = &flight{done: make(chan struct{})}
		s.flight = f
		go s.fly(context.WithoutCancel(ctx), f)
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", s.ref, context.Cause(ctx))
	}
}

// fly reads once on a context of its own and tells everyone who waits, whatever happens on the way: nobody stands above
// this goroutine, so a panic that got past it would end the process.
func (s *source) fly(ctx context.Context, f *flight) {
	var fresh []byte
	err := errPanicked
	defer func() { s.land(f, fresh, err) }()
	err = s.caught(func() (err error) {
		fresh, err = s.read(ctx)
		return err
	})
	if err != nil {
		_ = s.caught(func() error { // who listens may panic too; that is in the log then
			s.failed(s.ref, err)
			return nil
		})
	}
}

// caught makes a panic one log record with its stack, and an error. The runtime's own words hold no data of ours; of any
// other value, which may be the secret, only the type is told.
func (s *source) caught(work func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		what := fmt.Sprintf("a %T", p)
		if e, ok := p.(runtime.Error); ok {
			what = e.Error()
		}
		s.log.Error("panic", "in", "secret refresh", "reference", s.ref, "error", what, "stack", string(debug.Stack()))
		err = errPanicked
	}()
	return work()
}

// land keeps what a read brought and tells everyone who waits.
func (s *source) land(f *flight, fresh []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.held.Load(); err == nil && !bytes.Equal(old.current, fresh) {
		s.held.Store(&held{current: fresh, former: old.current, version: old.version + 1})
	}
	s.schedule(err)
	f.err = err
	s.flight = nil
	close(f.done)
}

// read fetches within the time-out and asks the guards.
func (s *source) read(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	fresh, err := s.fetch(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	guards := s.accept
	s.mu.Unlock()
	for _, check := range guards {
		if err := check(fresh); err != nil {
			return nil, &ReferenceError{Ref: s.ref, Problem: "the new value " + err.Error(), Hint: "correct the stored secret"}
		}
	}
	return fresh, nil
}

// schedule notes an outcome and when to read again. The caller holds mu, or is alone.
func (s *source) schedule(err error) {
	wait := keepFor
	if err != nil {
		wait = retryAfter
	}
	s.tried, s.err = s.now(), err
	s.due = s.tried.Add(wait - wait/10 + rand.N(wait/5))
}

// isDue reports whether Run should read again.
func (s *source) isDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.now().Before(s.due)
}
