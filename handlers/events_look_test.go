package handlers_test

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/session"
)

// Messages between replicas can get lost; what the store says cannot. It is asked seldom, for each question costs something.
func TestAnEndThatNobodyToldIsNoticedWithinAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	other := s.replica(t, deaf)
	b := s.browser(t)
	b.signIn()
	e := b.at(other).listen(b.cookies())
	e.beats(t, 3)
	b.post("/api/auth/sign-out", nil)
	s.clock.advance(15 * time.Minute)
	e.wantsEnd(t, "signed_out")
}

// asked is a store that counts what is read from it, and can fall silent.
type asked struct {
	kv.Store
	kv.Feed
	reads atomic.Int64
	down  atomic.Bool
}

func newAsked() *asked {
	memory := kv.NewMemory(kv.MemoryConfig{})
	return &asked{Store: memory, Feed: memory}
}

func (a *asked) Get(ctx context.Context, key string) (kv.Entry, error) {
	a.reads.Add(1)
	if a.down.Load() {
		return kv.Entry{}, kvtest.ErrDown
	}
	return a.Store.Get(ctx, key)
}

func (a *asked) GetMany(ctx context.Context, keys ...string) ([]kv.Entry, error) {
	a.reads.Add(1)
	if a.down.Load() {
		return nil, kvtest.ErrDown
	}
	return a.Store.GetMany(ctx, keys...)
}

func TestSignsOfLifeAskTheStoreNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range []session.Mode{session.ModeCookie, session.ModeServer} {
		t.Run("mode "+strconv.Itoa(int(mode)), func(t *testing.T) {
			t.Parallel()
			store := newAsked()
			s := newServer(t, func(o *options) { quick(o); o.session.Store, o.session.Mode = store, mode })
			b := s.browser(t)
			b.signIn()
			e := b.listen()
			e.beats(t, 3) // from the first sign of life on, it is settled when it looks
			begun := store.reads.Load()
			s.clock.advance(4 * time.Minute)
			e.beats(t, 20)
			if got := store.reads.Load() - begun; got != 0 {
				t.Errorf("20 signs of life in 4 minutes: got %d questions, want none", got)
			}
			s.clock.advance(11 * time.Minute)
			until(t, "it looks", func() bool { return store.reads.Load() > begun })
			e.beats(t, 20)
			if got := store.reads.Load() - begun; got > 2 { // a look may be two questions
				t.Errorf("after 15 minutes: got %d questions, want those of one look", got)
			}
		})
	}
}

// Streams that begin together do not ask together.
func TestEachStreamAsksAtAMomentOfItsOwn(t *testing.T) {
	t.Parallel()
	const streams, steps = 12, 10
	store := newAsked()
	s := newServer(t, func(o *options) { quick(o); o.session.Store = store })
	b := s.browser(t)
	b.signIn()
	var all []*events
	for range streams {
		e := b.listen()
		e.beats(t, 3)
		all = append(all, e)
	}
	moments := 0
	for range steps { // from 5 to 15 minutes
		before := store.reads.Load()
		s.clock.advance(15 * time.Minute / steps)
		for _, e := range all {
			e.beats(t, 3)
		}
		if store.reads.Load() > before {
			moments++
		}
	}
	if moments < 3 {
		t.Errorf("%d streams asked at %d moments of %d", streams, moments, steps)
	}
}

func TestTheEndOfASessionsLifeIsTold(t *testing.T) {
	t.Parallel()
	s := newServer(t, quick)
	b := s.browser(t)
	b.signIn()
	e := b.listen()
	<-e.lines
	s.clock.advance(720 * time.Hour)
	e.wantsEnd(t, "expired")
	if a := b.get(eventsPath); a.status != http.StatusUnauthorized || !a.cleared(s.cookie) {
		t.Errorf("afterwards: got %d, %q; want 401, and the cookie cleared", a.status, a.set)
	}
}

func TestATimeThatIsOverEndsTheStreamEvenWhileTheStoreSaysNothing(t *testing.T) {
	t.Parallel()
	store := newAsked()
	s := newServer(t, func(o *options) { quick(o); o.session.Store, o.session.Mode = store, session.ModeServer })
	b := s.browser(t)
	b.signIn()
	e := b.listen()
	e.beats(t, 3)
	begun := store.reads.Load()
	store.down.Store(true)
	s.clock.advance(time.Hour)
	until(t, "it looks", func() bool { return store.reads.Load() > begun })
	e.beats(t, 3) // an outage ends nothing
	s.clock.advance(720 * time.Hour)
	e.wants(t, "")
}

// The form of the session that a stream began with gets older, while the browser holds one that was seen since.
func TestAStreamThatKnowsOnlyAnIdleFormEndsAndSaysNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { quick(o); o.session.IdleTimeout = time.Hour })
	b := s.browser(t)
	b.signIn()
	e := b.listen()
	<-e.lines
	s.clock.advance(40 * time.Minute)
	b.token("")
	s.clock.advance(40 * time.Minute)
	e.wants(t, "")
	b.listen().hangUp()
}

// readOnly answers, and takes nothing while it is full.
type readOnly struct {
	*asked
	full atomic.Bool
}

func (r *readOnly) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if r.full.Load() {
		return 0, kv.ErrFull
	}
	return r.asked.Put(ctx, w)
}

// In server mode there is one form of a session, so a stream that finds it idle knows that it is over.
func TestTheEndByIdlenessIsToldInServerMode(t *testing.T) {
	t.Parallel()
	store := &readOnly{asked: newAsked()}
	s := newServer(t, func(o *options) {
		quick(o)
		o.session.Store, o.session.Mode, o.session.IdleTimeout = store, session.ModeServer, time.Hour
	})
	b := s.browser(t)
	b.signIn()
	e := b.listen()
	<-e.lines
	store.full.Store(true)
	s.clock.advance(time.Hour)
	e.wants(t, "") // nobody could have written that it is in use
	e = b.listen()
	<-e.lines
	store.full.Store(false)
	s.clock.advance(time.Hour)
	e.wantsEnd(t, "expired")
	if a := b.get(eventsPath); a.status != http.StatusUnauthorized {
		t.Errorf("afterwards: got %d, want 401", a.status)
	}
}
