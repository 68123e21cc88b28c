package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrUnavailable means that a guarded store was not asked, because it has just failed repeatedly, or did not answer in time.
var ErrUnavailable = errors.New("kv: the store does not answer")

// ErrNotAsked is the ErrUnavailable of a store that is left alone: nothing can have been written.
var ErrNotAsked = fmt.Errorf("%w, and is left alone for a moment", ErrUnavailable)

// What GuardConfig's zero value means.
const (
	DefaultGuardTimeout = 250 * time.Millisecond
	DefaultGuardFaults  = 5
	DefaultGuardPause   = time.Second
	DefaultGuardCalm    = 5 * time.Second
)

// A store that answers half of the time is left alone too: one call in two would wait for the time-out.
const (
	ratioWindow = 10 * time.Second
	ratioCalls  = 20 // so many at least before a ratio says anything
)

// Outcomes of a guarded call.
const (
	OutcomeOK        = "ok"        // an answer, ErrNotFound, ErrConflict and ErrInvalid among them
	OutcomeFull      = "full"      // ErrFull
	OutcomeNoWrites  = "no_writes" // another ErrNoWrites
	OutcomeFault     = "fault"     // another error
	OutcomeTimeout   = "timeout"   // no answer within the guard's time
	OutcomeAbandoned = "abandoned" // the caller's ctx ended first
	OutcomeRefused   = "refused"   // the store was not asked
)

// Call is one call of a guarded store, for metrics.
type Call struct {
	Operation string // get, get_many, put, delete or ping
	Outcome   string // one of the Outcome constants
	Duration  time.Duration
}

// GuardConfig configures Guard; its zero value works.
type GuardConfig struct {
	Timeout time.Duration // bounds each call; default DefaultGuardTimeout
	Faults  uint32        // consecutive faults after which the store is left alone; default DefaultGuardFaults
	// Pause is how long the store is left alone before one call tries it again; default DefaultGuardPause. Each guard adds
	// or takes off up to a quarter, so that replicas do not all try at once.
	Pause time.Duration
	// Observe hears of every call; nil means nobody does.
	Observe func(Call)
	// Changed hears when the store begins to be left alone, with the last fault, and when it answers again (nil). It must
	// return soon and not call the store. nil means nobody hears.
	Changed func(open bool, fault error)
	// Writes hears when the store begins to refuse writes, with the first refusal, and when it takes them again (nil): at the first write
	// that is taken DefaultGuardCalm after the last refusal, because a store that is throttled takes one and refuses the next. As Changed.
	Writes func(refusal error)
}

// Guard puts a time-out and a circuit breaker before a store that lies behind a network, so that a dead one costs a request
// microseconds. ErrNotFound, ErrConflict and ErrInvalid are answers; ErrNoWrites is no reason to stop asking, because such a
// store still reads, nor a sign that it does; a call whose caller gave up says nothing either. Everything else is a fault. Ping goes the same
// way, so a probe for readiness also finds out that the store is back.
func Guard(s Store, c GuardConfig) Store {
	if c.Timeout <= 0 {
		c.Timeout = DefaultGuardTimeout
	}
	if c.Faults == 0 {
		c.Faults = DefaultGuardFaults
	}
	if c.Pause <= 0 {
		c.Pause = DefaultGuardPause
	}
	if c.Observe == nil {
		c.Observe = func(Call) {}
	}
	if c.Changed == nil {
		c.Changed = func(bool, error) {}
	}
	g := &guarded{store: s, config: c, writes: writes{changed: c.Writes}}
	g.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:  c.Pause*3/4 + rand.N(c.Pause/2+1),
		Interval: ratioWindow, BucketPeriod: ratioWindow / 10,
		ReadyToTrip:   g.hasFailed,
		IsExcluded:    func(err error) bool { return err == errSaysNothing },
		OnStateChange: g.changed,
	})
	return g
}

type guarded struct {
	store   Store
	config  GuardConfig
	breaker *gobreaker.CircuitBreaker[struct{}]
	last    atomic.Pointer[error] // fault
	writes  writes
}

// errSaysNothing tells the breaker that a call says nothing of whether the store may be asked; no caller sees it.
var errSaysNothing = errors.New("kv: the call says nothing about the store")

// Get implements Store.
func (g *guarded) Get(ctx context.Context, key string) (e Entry, err error) {
	err = g.call(ctx, "get", func(ctx context.Context) error {
		e, err = g.store.Get(ctx, key)
		return err
	})
	return e, err
}

// GetMany implements Store. Without keys nobody is asked, which says nothing about the store.
func (g *guarded) GetMany(ctx context.Context, keys ...string) (entries []Entry, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	err = g.call(ctx, "get_many", func(ctx context.Context) error {
		entries, err = g.store.GetMany(ctx, keys...)
		return err
	})
	return entries, err
}

// Put implements Store.
func (g *guarded) Put(ctx context.Context, w Write) (v Version, err error) {
	err = g.call(ctx, "put", func(ctx context.Context) error {
		v, err = g.store.Put(ctx, w)
		return err
	})
	if err == nil {
		g.writes.taken() // a Delete may have found nothing to remove
	}
	return v, err
}

// Delete implements Store.
func (g *guarded) Delete(ctx context.Context, key string, expected Version) error {
	return g.call(ctx, "delete", func(ctx context.Context) error { return g.store.Delete(ctx, key, expected) })
}

// Ping implements Store.
func (g *guarded) Ping(ctx context.Context) error { return g.call(ctx, "ping", g.store.Ping) }

// call asks the store unless the breaker is open, and tells the breaker what came of it.
func (g *guarded) call(ctx context.Context, operation string, ask func(context.Context) error) error {
	begun, outcome := time.Now(), OutcomeRefused
	defer func() { g.config.Observe(Call{Operation: operation, Outcome: outcome, Duration: time.Since(begun)}) }()
	answer := ErrNotAsked
	_, _ = g.breaker.Execute(func() (struct{}, error) {
		outcome = OutcomeFault // should it panic
		bounded, cancel := context.WithTimeout(ctx, g.config.Timeout)
		defer cancel()
		answer = ask(bounded)
		outcome = judge(ctx, answer)
		switch outcome {
		case OutcomeOK:
			return struct{}{}, nil
		case OutcomeFull, OutcomeNoWrites:
			g.writes.refused(answer)
			return struct{}{}, errSaysNothing
		case OutcomeAbandoned:
			return struct{}{}, errSaysNothing
		case OutcomeTimeout:
			// Not the caller's deadline: nobody may take it for that.
			answer = fmt.Errorf("%w within %s: %v", ErrUnavailable, g.config.Timeout, answer)
		}
		fault := answer
		g.last.Store(&fault)
		return struct{}{}, fault
	})
	return answer
}

// judge says what an answer means; ctx is the caller's.
func judge(ctx context.Context, answer error) string {
	switch {
	case answer == nil, errors.Is(answer, ErrNotFound), errors.Is(answer, ErrConflict), errors.Is(answer, ErrInvalid):
		return OutcomeOK
	case errors.Is(answer, ErrFull):
		return OutcomeFull
	case errors.Is(answer, ErrNoWrites):
		return OutcomeNoWrites
	case ctx.Err() != nil:
		return OutcomeAbandoned
	case errors.Is(answer, context.DeadlineExceeded), errors.Is(answer, os.ErrDeadlineExceeded):
		return OutcomeTimeout
	}
	return OutcomeFault
}

// hasFailed decides after each fault whether the store is left alone from now on.
func (g *guarded) hasFailed(n gobreaker.Counts) bool {
	answered := n.TotalSuccesses + n.TotalFailures
	return n.ConsecutiveFailures >= g.config.Faults || answered >= ratioCalls && n.TotalFailures*2 >= answered
}

// changed leaves out the steps between: a store that stays dead is tried every second.
func (g *guarded) changed(_ string, from, to gobreaker.State) {
	switch {
	case from == gobreaker.StateClosed && to == gobreaker.StateOpen:
		g.config.Changed(true, g.lastFault())
	case to == gobreaker.StateClosed:
		g.config.Changed(false, nil)
	}
}

// lastFault is ErrUnavailable where the store panicked instead.
func (g *guarded) lastFault() error {
	if last := g.last.Load(); last != nil {
		return *last
	}
	return ErrUnavailable
}
