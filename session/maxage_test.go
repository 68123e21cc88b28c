package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/session"
)

func maxAge(d time.Duration) func(*session.Config) {
	return func(c *session.Config) { c.MaxAge = d }
}

// inBothModes runs a test in both, on one process whose MaxAge is first. again is the process after a restart with another.
func inBothModes(t *testing.T, first time.Duration, test func(t *testing.T, h *house, again func(time.Duration) *house)) {
	for name, mode := range map[string]session.Mode{"cookie": session.ModeCookie, "server": session.ModeServer} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				in := func(c *session.Config) { c.Mode = mode }
				h := newHouse(t, in, maxAge(first))
				test(t, h, func(d time.Duration) *house { return h.replica(t, in, maxAge(d)) })
			})
		})
	}
}

// ends are two ways in which a session that somebody has a copy of is ended.
var ends = map[string]func(ctx context.Context, h *house, s *session.Session) error{
	"a sign-out": func(ctx context.Context, h *house, s *session.Session) error {
		h.End(ctx, s)
		return nil
	},
	"an operator": func(ctx context.Context, h *house, _ *session.Session) error {
		return h.Revoke(ctx, session.Whose{Subject: "ada"}, session.ReasonRevoked)
	},
}

// The record of an ending was kept for the max_age of its day, and the session judged by that of the next.
func TestARaisedMaxAgeBringsNoEndedSessionBack(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, time.Hour, func(t *testing.T, h *house, again func(time.Duration) *house) {
				h.provider.life = 12 * time.Hour
				s, b := h.as(t, "ada", "sid1")
				if err := end(t.Context(), h, s); err != nil {
					t.Fatal(err)
				}
				raised := again(720 * time.Hour)
				for range 10 {
					pass(20 * time.Minute)
					if _, err := raised.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
						t.Fatalf("%s after its end: got %v, want an end", time.Since(s.Started), err)
					}
				}
			})
		})
	}
}

func TestARaisedMaxAgeLengthensNoSession(t *testing.T) {
	inBothModes(t, 3*time.Hour, func(t *testing.T, h *house, again func(time.Duration) *house) {
		s, b := h.signIn(t)
		end := s.Started.Add(3 * time.Hour)
		raised := again(720 * time.Hour)
		pass(2 * time.Hour)
		s = raised.fresh(t, raised.load(t, b), session.Need{})
		generation(t, s, 1)
		for _, c := range raised.write(t, b, s) {
			if c.MaxAge > 3600 {
				t.Errorf("the cookie lives %d s more, want at most the hour that is left", c.MaxAge)
			}
		}
		s = raised.load(t, b)
		if got := raised.Expires(s); !got.Equal(end) {
			t.Errorf("expires %s after its start, want 3h", got.Sub(s.Started))
		}
		if got := raised.Limit(s); !got.Equal(end) {
			t.Errorf("its limit is %s after its start, want 3h", got.Sub(s.Started))
		}
		pass(time.Hour)
		_, err := raised.Load(t.Context(), b.header())
		ended(t, err, session.ReasonExpired)
		pass(time.Hour)
		if _, err := raised.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("got %v, want its end", err)
		}
		_, b = raised.signIn(t)
		if got := raised.Expires(raised.load(t, b)); time.Until(got) != 720*time.Hour {
			t.Errorf("a new session lasts %s, want 720h", time.Until(got))
		}
	})
}

func TestALoweredMaxAgeShortensLivingSessionsAtOnce(t *testing.T) {
	inBothModes(t, 720*time.Hour, func(t *testing.T, h *house, again func(time.Duration) *house) {
		s, b := h.signIn(t)
		lowered := again(time.Hour)
		pass(50 * time.Minute)
		if got := lowered.Expires(lowered.load(t, b)); !got.Equal(s.Started.Add(time.Hour)) {
			t.Errorf("expires %s after its start, want 1h", got.Sub(s.Started))
		}
		for _, c := range lowered.write(t, b, s) {
			if c.MaxAge > 600 {
				t.Errorf("the cookie lives %d s more, want at most ten minutes", c.MaxAge)
			}
		}
		pass(10 * time.Minute)
		_, err := lowered.Load(t.Context(), b.header())
		ended(t, err, session.ReasonExpired)
	})
}

// The session was sealed for 30 days, and ended while max_age said an hour.
func TestAnEndUnderALowMaxAgeHoldsWhenItIsRaisedAgain(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, 720*time.Hour, func(t *testing.T, h *house, again func(time.Duration) *house) {
				h.provider.life = 24 * time.Hour
				s, b := h.as(t, "ada", "sid1")
				lowered := again(time.Hour)
				pass(30 * time.Minute)
				if err := end(t.Context(), lowered, lowered.load(t, b)); err != nil {
					t.Fatal(err)
				}
				pass(3 * time.Hour)
				raised := again(720 * time.Hour)
				if _, err := raised.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
					t.Fatalf("got %v, want an end", err)
				}
				pass(700 * time.Hour)
				if _, err := h.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
					t.Errorf("%s after its start: got %v, want an end", time.Since(s.Started), err)
				}
			})
		})
	}
}

// written notes for how long the records of endings are to stand.
type written struct {
	kv.Store
	ends []time.Duration
}

func (w *written) Put(ctx context.Context, p kv.Write) (kv.Version, error) {
	if strings.HasPrefix(p.Key, "ended") {
		w.ends = append(w.ends, p.TTL)
	}
	return w.Store.Put(ctx, p)
}

// A provider that tells of every logout leaves a record of each.
func TestTheEndOfOneSignInIsRememberedForAsLongAsItCouldLast(t *testing.T) {
	inBothModes(t, time.Hour, func(t *testing.T, h *house, _ func(time.Duration) *house) {
		puts := &written{Store: h.store}
		h = h.replica(t, func(c *session.Config) { c.Store, c.Mode, c.MaxAge = puts, h.config.Mode, time.Hour })
		h.provider.life = 12 * time.Hour
		_, b := h.as(t, "ada", "sid1")
		if err := h.Revoke(t.Context(), session.Whose{ProviderID: "sid1"}, session.ReasonProvider); err != nil {
			t.Fatal(err)
		}
		if got := puts.ends; len(got) != 1 || got[0] < time.Hour || got[0] > time.Hour+15*time.Minute {
			t.Errorf("records of its end stand for %v, want one, for an hour and some minutes", got)
		}
		pass(time.Hour - time.Second)
		if _, err := h.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("got %v, want its end", err)
		}
	})
}

// Somebody must be able to see, and end, whatever lives.
func TestALowMaxAgeTakesNoSessionOutOfItsList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, serverMode)
		phone, b := h.as(t, "ada", "sid1")
		pass(2 * time.Hour)
		lowered := h.replica(t, serverMode, maxAge(time.Hour))
		laptop, _ := lowered.as(t, "ada", "sid2")
		for _, c := range []struct {
			at   *house
			want int
		}{{lowered, 1}, {h, 2}} {
			listed, err := c.at.Sessions(t.Context(), laptop)
			if err != nil {
				t.Fatal(err)
			}
			count(t, "listed", len(listed), c.want)
		}
		pass(2 * time.Hour) // the one that was sealed for an hour is over
		listed, err := h.Sessions(t.Context(), h.load(t, b))
		if err != nil {
			t.Fatal(err)
		}
		count(t, "listed later", len(listed), 1)
		if err := h.EndListed(t.Context(), laptop, phone.ID.String()); err != nil {
			t.Fatal(err)
		}
		_, err = h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonElsewhere)
	})
}
