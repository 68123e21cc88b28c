package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/session"
)

// outages are the ways in which a store takes no word of a session's use: begin and end them.
var outages = map[string]func(*full, *kvtest.Faulty, bool){
	"full": func(f *full, _ *kvtest.Faulty, on bool) { f.fault = map[bool]error{true: kv.ErrFull}[on] },
	"a read copy": func(f *full, _ *kvtest.Faulty, on bool) {
		f.fault = map[bool]error{true: errors.New("NOREPLICAS Not enough good replicas to write.")}[on]
	},
	"away": func(_ *full, store *kvtest.Faulty, on bool) { store.SetDown(on) },
}

// office is two replicas in server mode on a store that can fail, and where they log.
type office struct {
	here, there *house
	log         *bytes.Buffer
	set         func(on bool)
	options     []func(*session.Config)
}

func newOffice(t *testing.T, fails func(*full, *kvtest.Faulty, bool), idle time.Duration) *office {
	t.Helper()
	faulty, log := newStore(), &bytes.Buffer{}
	store := &full{Store: faulty}
	o := &office{log: log, set: func(on bool) { fails(store, faulty, on) }}
	o.options = []func(*session.Config){serverMode, idleOut(idle), func(c *session.Config) {
		c.Store, c.Logger = store, slog.New(slog.NewTextHandler(log, nil))
	}}
	o.here = newHouse(t, o.options...)
	o.here.provider.life = 24 * time.Hour
	o.there = o.here.replica(t, o.options...)
	return o
}

// use is what a token answer asks for; it fails where the session is over.
func (h *house) use(t *testing.T, b *browser) (slid bool) {
	t.Helper()
	s, err := h.Load(t.Context(), b.header())
	if err == nil {
		s, err = h.Fresh(t.Context(), s, session.Need{})
	}
	if err != nil {
		unavailable(t, err)
		return false
	}
	_, slid = h.Slide(t.Context(), s)
	return slid
}

// Who was at work all the time was signed out, because nobody could write that he was.
func TestWhoIsAtWorkWhileTheStoreTakesNothingStaysSignedIn(t *testing.T) {
	for name, fails := range outages {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := newOffice(t, fails, 10*time.Minute)
				_, worker := o.here.signIn(t)
				_, away := o.here.signIn(t)
				o.set(true)
				for i := range 120 {
					pass(30 * time.Second)
					[]*house{o.here, o.there}[i%2].use(t, worker)
				}
				o.set(false)
				pass(30 * time.Second)
				if !o.here.use(t, worker) {
					t.Error("the session does not slide as soon as it can")
				}
				o.here.replica(t, o.options...).load(t, worker) // that it is in use stands in the store now
				pass(11 * time.Minute)
				for _, h := range []*house{o.here, o.there} {
					_, err := h.Load(t.Context(), away.header())
					ended(t, err, session.ReasonIdle)
				}
				_, err := o.here.Load(t.Context(), worker.header())
				ended(t, err, session.ReasonIdle)
				told := strings.Count(o.log.String(), "does not take that sessions are in use")
				if name == "away" { // which is said elsewhere
					count(t, "log lines", told, 0)
					return
				}
				count(t, "log lines of two replicas", told, 2)
				if o.here.seen("idle_blind") == 0 {
					t.Error("nobody counted it")
				}
			})
		})
	}
}

// The time of the outage is no idle time, for whoever comes to a replica that knows of it.
func TestAnOutageDoesNotCountAsIdleness(t *testing.T) {
	for name, fails := range outages {
		for back, stays := range map[time.Duration]bool{5 * time.Minute: true, 7 * time.Minute: false} {
			t.Run(fmt.Sprint(name, ", back after ", back), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					o := newOffice(t, fails, 10*time.Minute)
					_, worker := o.here.signIn(t)
					_, b := o.here.signIn(t)
					pass(4 * time.Minute) // from here on somebody else is at work
					o.set(true)
					for range 60 {
						o.there.use(t, worker)
						pass(time.Minute)
					}
					o.there.use(t, worker)
					o.set(false)
					o.there.use(t, worker)
					pass(back)
					_, err := o.there.Load(t.Context(), b.header())
					if stays != (err == nil) {
						t.Errorf("got %v, want it to stay: %v", err, stays)
					}
				})
			})
		}
	}
}

// Whoever is seldom there is not judged by the minute in which the store was away just then.
func TestAUseInVainIsAUse(t *testing.T) {
	for name, fails := range outages {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := newOffice(t, fails, 30*time.Minute)
				_, b := o.here.signIn(t)
				pass(20 * time.Minute)
				o.set(true)
				o.here.use(t, b)
				o.set(false)
				pass(20 * time.Minute)
				if !o.here.use(t, b) {
					t.Error("it does not slide")
				}
				pass(30 * time.Minute)
				_, err := o.here.Load(t.Context(), b.header())
				ended(t, err, session.ReasonIdle)
			})
		})
	}
}

// A full store is what one restarts replicas for, and those that begin in the outage know of nothing.
func TestAReplicaThatBeginsInAnOutageEndsNothingByIdleness(t *testing.T) {
	for _, name := range []string{"full", "a read copy"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := newOffice(t, outages[name], 10*time.Minute)
				s, b := o.here.signIn(t)
				o.set(true)
				pass(time.Hour)
				fresh := o.here.replica(t, o.options...)
				if err := fresh.Alive(t.Context(), s); err != nil {
					t.Errorf("who watches is told %v", err)
				}
				fresh.use(t, b)
				o.set(false)
				pass(time.Minute)
				if !fresh.use(t, b) {
					t.Error("it does not slide")
				}
			})
		})
	}
}

// A provider that is away leaves nobody idle who asks for tokens all the time.
func TestWhoWaitsForTheProviderIsNotIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, idleOut(10*time.Minute))
		_, b := h.signIn(t)
		for range 55 {
			pass(time.Minute)
			if slid, changed := h.Slide(t.Context(), h.load(t, b)); changed {
				h.write(t, b, slid)
			}
		}
		h.provider.before = func(int) error { return &session.Unavailable{} }
		for range 60 {
			pass(time.Minute)
			h.use(t, b)
		}
		h.provider.before = nil
		pass(time.Minute)
		generation(t, h.fresh(t, h.load(t, b), session.Need{}), 1)
	})
}

// In cookie mode sliding waits for half of the time-out while nobody can say whether there is a newer form.
func TestAUseInVainIsAUseInCookieModeToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, idleOut(30*time.Minute), func(c *session.Config) { c.Mode = session.ModeCookie })
		h.provider.life = 24 * time.Hour
		_, b := h.signIn(t)
		pass(12 * time.Minute)
		h.store.SetDown(true)
		if h.use(t, b) {
			t.Fatal("it slides although nobody can say whether there is a newer form")
		}
		h.store.SetDown(false)
		pass(25 * time.Minute)
		if !h.use(t, b) {
			t.Error("it does not slide")
		}
		pass(30 * time.Minute)
		_, err := h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonIdle)
	})
}

func TestAnIdleSessionIsNotListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, serverMode, idleOut(10*time.Minute))
		h.as(t, "ada", "sid1")
		pass(11 * time.Minute)
		s, _ := h.as(t, "ada", "sid2")
		all, err := h.Sessions(t.Context(), s)
		if err != nil || len(all) != 1 || !all[0].Current {
			t.Errorf("got %+v, %v; want the new one alone", all, err)
		}
	})
}

// Two faults far apart, and nobody there between: that is no outage from the one to the other.
func TestASilenceBetweenTwoFaultsIsNoOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := newOffice(t, outages["away"], 10*time.Minute)
		_, b := o.here.signIn(t)
		_, other := o.here.signIn(t)
		for _, later := range []time.Duration{5 * time.Minute, time.Hour} {
			pass(later)
			o.set(true)
			o.here.use(t, other)
			o.set(false)
		}
		_, err := o.here.Load(t.Context(), b.header())
		ended(t, err, session.ReasonIdle)
	})
}
