package session_test

import (
	"slices"
	"testing"
	"time"

	"vestibule/session"
)

// A provider rolled its keys while its key set could not be fetched: the refresh token was spent, the ID token could not be verified,
// and the next attempt replayed the spent one. The session was gone for a network fault.
func TestTokensThatCannotBeVerifiedYetAreKeptAndConfirmedLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		pass(2 * time.Hour)
		h.provider.doubt = true
		h.provider.confirm = func() error { return &session.Unavailable{} }
		for range 3 {
			_, err := h.Fresh(t.Context(), s, session.Need{})
			unavailable(t, err)
			pass(2 * time.Second)
		}
		count(t, "refreshes while keys are missing", h.provider.refreshes(), 1)
		h.provider.doubt, h.provider.confirm = false, nil
		got := h.replica(t).fresh(t, h.load(t, b), session.Need{})
		generation(t, got, 1)
		count(t, "refreshes", h.provider.refreshes(), 1)
		generation(t, h.fresh(t, s, session.Need{}), 1)
		pass(2 * time.Hour)
		generation(t, h.fresh(t, got, session.Need{}), 2)
	})
}

func TestTokensThatTurnOutToBeFalseEndTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		pass(2 * time.Hour)
		h.provider.doubt = true
		h.provider.confirm = func() error { return session.ErrUntrusted }
		_, err := h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		pass(2 * time.Second)
		_, err = h.Fresh(t.Context(), s, session.Need{})
		ended(t, err, session.ReasonUntrusted)
		_, err = h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonUntrusted)
	})
}

func TestALivingTokenIsServedWhileItsSuccessorIsInDoubt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		pass(57 * time.Minute)
		h.provider.doubt = true
		if got := h.fresh(t, s, session.Need{}); got.Generation != 0 {
			t.Errorf("generation %d was served before it was verified", got.Generation)
		}
		pass(6 * time.Second)
		generation(t, h.fresh(t, s, session.Need{}), 1)
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}

// Confirmed too late, a short token is over: then it is refreshed in turn, with the refresh token that came with it.
func TestTokensThatDieWhileInDoubtAreRefreshedInTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.provider.life = 3 * time.Second
		s, _ := h.signIn(t)
		pass(2 * time.Hour)
		h.provider.doubt = true
		_, err := h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		h.provider.doubt = false
		pass(5 * time.Second)
		generation(t, h.fresh(t, s, session.Need{}), 2)
		count(t, "refreshes", h.provider.refreshes(), 2)
	})
}

// What was granted but never verified is revoked with the session, whether the sign-out comes after it or while it is on its way.
func TestASignOutRevokesWhatIsInDoubt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		pass(2 * time.Hour)
		h.provider.doubt = true
		_, err := h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		h.End(t.Context(), h.load(t, b))
		if !slices.Contains(h.provider.revoked, "refresh-2") {
			t.Errorf("revoked %v, want the token in doubt", h.provider.revoked)
		}
	})
}

// An old copy of a cookie came by after the idle time-out, and the session that had slid on ended with it.
func TestAnIdleCopyOfACookieDoesNotEndTheSessionThatSlidOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(c *session.Config) { c.IdleTimeout = 10 * time.Minute })
		s, b := h.signIn(t)
		old := b.header()
		pass(8 * time.Minute)
		slid, changed := h.Slide(t.Context(), s)
		if !changed {
			t.Fatal("the session did not slide")
		}
		h.write(t, b, slid)
		pass(4 * time.Minute)
		_, err := h.Load(t.Context(), old)
		ended(t, err, session.ReasonIdle)
		h.load(t, b)
	})
}
