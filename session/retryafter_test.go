package session_test

import (
	"testing"
	"time"

	"vestibule/session"
)

func TestRetryAfterIsRespected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		h.provider.before = func(int) error { return &session.Unavailable{RetryAfter: 20 * time.Second} }
		pass(time.Hour - 10*time.Second)
		h.fresh(t, s, session.Need{})
		pass(9 * time.Second)
		h.fresh(t, s, session.Need{})
		count(t, "calls while the token lives", h.provider.refreshes(), 1)
		pass(time.Second)
		_, err := h.Fresh(t.Context(), s, session.Need{})
		if u := unavailable(t, err); u.RetryAfter != 10*time.Second {
			t.Errorf("retry after %s, want what is left: 10s", u.RetryAfter)
		}
		count(t, "calls when it is over, before the time", h.provider.refreshes(), 1)
		h.provider.before = nil
		pass(10 * time.Second)
		generation(t, h.fresh(t, s, session.Need{}), 1)
	})
}

// What the provider asks for is counted down to its end: whoever comes back after a minute is told of the minutes that are left.
func TestAProviderThatAsksForMinutesIsLeftAloneForThatLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		pass(time.Hour)
		h.provider.before = func(int) error { return &session.Unavailable{RetryAfter: 3 * time.Minute} }
		for _, want := range []time.Duration{180 * time.Second, 120 * time.Second, 60 * time.Second, time.Second} {
			if want < time.Minute {
				pass(time.Minute - want)
			}
			_, err := h.Fresh(t.Context(), s, session.Need{})
			if u := unavailable(t, err); u.RetryAfter != want {
				t.Errorf("retry after %s, want %s", u.RetryAfter, want)
			}
			if want > time.Minute {
				pass(time.Minute)
			}
		}
		count(t, "calls before the time", h.provider.refreshes(), 1)
		h.provider.before = nil
		pass(time.Second)
		generation(t, h.fresh(t, s, session.Need{}), 1)
	})
}

func TestAProviderThatAsksForHoursIsAskedAgainAfterOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		pass(time.Hour)
		h.provider.before = func(int) error { return &session.Unavailable{RetryAfter: 5 * time.Hour} }
		_, err := h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		h.provider.before = nil
		pass(time.Hour - time.Second)
		_, err = h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		count(t, "calls within the hour", h.provider.refreshes(), 1)
		pass(time.Second)
		generation(t, h.fresh(t, s, session.Need{}), 1)
	})
}
