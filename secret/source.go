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
	// refreshFloor is the least time between two reads of one reference over the network, so that a
	// provider that refuses every call does not become a flood at Secrets Manager; and until a file is tried again that could not be read.
	refreshFloor = 10 * time.Second
	// fetchTimeout bounds one read, whoever waits for it.
	fetchTimeout = 10 * time.Second
	// hangTimeout is when a read that does not heed its context has failed for all who wait: that of a file on a server that is gone.
	// Whatever heeds its context has answered by then.
	hangTimeout = fetchTimeout + time.Second
	// doubtFor is how long after the first read that failed others may still come to hold what could not be read here. Then nobody
	// waits any more for a reference that is gone for good.
	doubtFor = 5 * time.Minute
	// keepFor is how long a value is believed, give or take a tenth: what AWS's own
	// caching clients do, spread so that replicas do not ask in step.
	keepFor = time.Hour
	// retryAfter is how soon a failed read is tried again.
	retryAfter = 5 * time.Minute
	// sealAfter is how long a key that a later read brought only opens. It exceeds refreshFloor and fetchTimeout, so that a replica that
	// may not look just now has looked since the key is there; and what a kubelet takes to bring a changed Secret to its node, its sync
	// period of a minute and some seconds.
	sealAfter = 2 * time.Minute
)

// errPanicked is how a read ends that panicked.
var errPanicked = errors.New("reading ended in a panic, which is in the log")

// errHangs is how a read ends that does not come back.
var errHangs = errors.New("reading takes too long, and is not tried again before it has come back")

// source is where the bytes of a Value live and how they are read again.
type source struct {
	ref    string
	fetch  func(context.Context) ([]byte, error) // nil: the bytes never change
	local  bool                                  // a read costs microseconds, so it has no floor
	now    func() time.Time
	report func(ref string, err error)
	log    *slog.Logger
	held   atomic.Pointer[held]

	mu     sync.Mutex
	accept []func([]byte) error
	flight *flight
	landed *flight   // the last that came back
	tried  time.Time // end of the last read but the one at the start, which nobody can have caused
	known  time.Time // start of the last read that succeeded: what was stored by then is held
	failed time.Time // start of the first read that failed since; zero: none did
	due    time.Time // when Run reads again
	err    error     // outcome of the last read
}

// held is one state of a source; it is replaced, never changed.
type held struct {
	current []byte
	former  []byte    // what current replaced, nil at first
	sealing []byte    // what seals, as a key, until ripe: former, unless that was never ripe itself
	ripe    time.Time // when current seals; zero: it does
	version uint64    // grows with each replacement by two, and by one when current is ripe
}

// flight is one read that several callers wait for.
type flight struct {
	began time.Time
	done  chan struct{}
	err   error
	late  bool // done without having come back: it is still the one flight there is
}

// open does the first read, without which there is no source.
func (s *source) open(ctx context.Context) error {
	began := s.now()
	fresh, err := s.read(ctx)
	if err != nil {
		return err
	}
	s.held.Store(&held{current: fresh})
	s.known = began
	s.due = s.next(nil)
	return nil
}

// state is what is held now. A current value whose time to seal has come is ripe from here on, so the clock is asked after a
// replacement only.
func (s *source) state() *held {
	h := s.held.Load()
	if h.ripe.IsZero() || s.now().Before(h.ripe) {
		return h
	}
	ripe := *h
	ripe.ripe = time.Time{}
	ripe.version++
	s.held.CompareAndSwap(h, &ripe) // or somebody else did, or a read brought another value
	return s.held.Load()
}

// lastRead is when the last read began that succeeded. False means that no read brings other bytes: there is none, or it has failed
// for too long to be waited for.
func (s *source) lastRead() (time.Time, bool) {
	if s.fetch == nil {
		return time.Time{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known, s.failed.IsZero() || s.now().Sub(s.failed) <= doubtFor
}

// guard adds a check that fresh bytes must pass before they replace good ones.
func (s *source) guard(check func([]byte) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accept = append(s.accept, check)
}

// refresh joins the read that is under way, or starts one unless the floor forbids it. Of a file it awaits a read that began after the
// call, so that a caller's doubt is settled: one that was under way may not have seen what he has met.
func (s *source) refresh(ctx context.Context) error {
	joined, err := s.share(ctx, nil)
	if joined != nil && s.local && err == nil {
		_, err = s.share(ctx, joined)
	}
	return err
}

// share waits for a read that began after the one given, if there is one, and says which it was if it was under way.
func (s *source) share(ctx context.Context, after *flight) (joined *flight, err error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("wait for %s: %w", s.ref, context.Cause(ctx))
	}
	s.mu.Lock()
	f := s.flight
	joined = f
	told := after != nil && s.landed != after // somebody who waited for it too was quicker, and has what he read
	if told || f != nil && f.late || f == nil && s.now().Sub(s.tried) < s.floor() {
		defer s.mu.Unlock()
		return nil, s.err
	}
	if f == nil {
		f = &flight{began: s.now(), done: make(chan struct{})}
		s.flight = f
		go s.fly(context.WithoutCancel(ctx), f)
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return joined, f.err
	case <-ctx.Done():
		return joined, fmt.Errorf("wait for %s: %w", s.ref, context.Cause(ctx))
	}
}

// floor is the least time from the last read to the next. The caller holds mu.
func (s *source) floor() time.Duration {
	if s.local && s.err == nil {
		return 0
	}
	return refreshFloor
}

// fly reads once on a context of its own and tells everyone who waits, whatever happens on the way: nobody stands above
// this goroutine, so a panic that got past it would end the process.
func (s *source) fly(ctx context.Context, f *flight) {
	var fresh []byte
	err := errPanicked
	defer func() { s.land(f, fresh, err) }()
	hangs := time.AfterFunc(hangTimeout, func() {
		if s.giveUp(f) {
			s.tell(errHangs)
		}
	})
	err = s.caught(func() (err error) {
		fresh, err = s.read(ctx)
		return err
	})
	if hangs.Stop() && err != nil { // not stopped: that has been told
		s.tell(err)
	}
}

// tell has a failure counted. Who listens may panic too; that is in the log then.
func (s *source) tell(err error) {
	_ = s.caught(func() error {
		s.report(s.ref, err)
		return nil
	})
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
	if old := s.state(); err == nil && !bytes.Equal(old.current, fresh) {
		h := &held{current: fresh, former: old.current, sealing: old.current, ripe: s.now().Add(sealAfter), version: old.version + 2}
		if !old.ripe.IsZero() {
			h.sealing = old.sealing
		}
		s.held.Store(h)
	}
	if err == nil {
		s.known, s.failed = f.began, time.Time{}
	}
	s.flight, s.landed = nil, f
	s.settle(f, err)
}

// giveUp tells everyone who waits that the read failed, unless it has come back. It stays the one flight there is, so that a file system
// that hangs holds one goroutine and not one for each try.
func (s *source) giveUp(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != f {
		return false
	}
	s.settle(f, errHangs)
	f.late = true
	return true
}

// settle notes an outcome and tells everyone who waits. The caller holds mu.
func (s *source) settle(f *flight, err error) {
	s.tried, s.err, s.due = s.now(), err, s.next(err)
	if err != nil && s.failed.IsZero() {
		s.failed = f.began
	}
	if !f.late {
		f.err = err
		close(f.done)
	}
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

// next is when Run reads again after that outcome.
func (s *source) next(err error) time.Time {
	wait := keepFor
	if err != nil {
		wait = retryAfter
	}
	return s.now().Add(wait - wait/10 + rand.N(wait/5))
}

// isDue reports whether Run should read again.
func (s *source) isDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.now().Before(s.due)
}
