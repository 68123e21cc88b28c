package session_test

import (
	"testing"
	"time"

	"vestibule/session"
)

func TestARefreshIsDueWhenLittleIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		life, before, left time.Duration
		due                bool
	}{
		"an hour's token, six minutes left":                               {time.Hour, 0, 6 * time.Minute, false},
		"an hour's token, five minutes left":                              {time.Hour, 0, 5 * time.Minute, false},
		"an hour's token, a second less":                                  {time.Hour, 0, 5*time.Minute - time.Second, true},
		"a token that is over":                                            {time.Hour, 0, 0, true},
		"a token that has been over for a day":                            {time.Hour, 0, -24 * time.Hour, true},
		"a five minutes' token is not refreshed at once":                  {5 * time.Minute, 0, 5 * time.Minute, false},
		"a five minutes' token, half its life left":                       {5 * time.Minute, 0, 150 * time.Second, false},
		"a five minutes' token, a second less":                            {5 * time.Minute, 0, 149 * time.Second, true},
		"half an hour is asked for, 29 minutes left":                      {time.Hour, 30 * time.Minute, 29 * time.Minute, true},
		"a whole day is asked for of an hour's token, 40 minutes left":    {time.Hour, 24 * time.Hour, 40 * time.Minute, false},
		"a whole day is asked for of an hour's token, under half is left": {time.Hour, 24 * time.Hour, 29 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t, func(c2 *session.Config) { c2.RefreshBefore = c.before })
				h.provider.life = c.life
				s, _ := h.signIn(t)
				pass(c.life - c.left)
				newer := h.fresh(t, s, session.Need{})
				want := 0
				if c.due {
					want = 1
				}
				count(t, "refreshes", h.provider.refreshes(), want)
				generation(t, newer, uint32(want))
				if newer.Left(time.Now()) <= 0 {
					t.Error("the token is over")
				}
			})
		})
	}
}

func TestARefreshMakesANewFormAndLeavesTheOldOneAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		before := wholeOf(s)
		pass(time.Hour)
		newer := h.fresh(t, s, session.Need{})
		if wholeOf(s) != before {
			t.Error("the old form was changed: requests share it")
		}
		if newer.ID != s.ID || !newer.Started.Equal(s.Started) || newer.Tokens.AccessToken == s.Tokens.AccessToken ||
			newer.Tokens.RefreshToken == s.Tokens.RefreshToken || !newer.Tokens.Expires.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("the newer form is %+v", newer)
		}
		if string(newer.Tokens.Claims) != string(s.Tokens.Claims) || newer.Tokens.Subject != "ada" {
			t.Error("claims that the refresh did not bring are gone")
		}
		h.write(t, b, newer)
		if wholeOf(h.load(t, b)) != wholeOf(newer) {
			t.Error("another form came back from the cookie")
		}
	})
}

func TestMinTTLIsMetByARefreshAndCappedAtTheTokensLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		h.fresh(t, s, session.Need{MinTTL: 100 * time.Hour})
		count(t, "refreshes for more than a life, with a whole one left", h.provider.refreshes(), 0)
		pass(20 * time.Minute)
		h.fresh(t, s, session.Need{MinTTL: 40 * time.Minute})
		count(t, "refreshes when there is enough", h.provider.refreshes(), 0)
		s = h.fresh(t, s, session.Need{MinTTL: 41 * time.Minute})
		count(t, "refreshes when there is not", h.provider.refreshes(), 1)
		for range 60 {
			pass(time.Second)
			s = h.fresh(t, s, session.Need{MinTTL: 100 * time.Hour})
		}
		if got := h.provider.refreshes(); got > 7 {
			t.Errorf("a life that cannot be had cost %d refreshes in a minute, want one in 10 s", got)
		}
	})
}

func TestForcingIsBoundedPerSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		other, _ := h.signIn(t)
		s = h.fresh(t, s, session.Need{Force: true})
		count(t, "the first, right after signing in", h.provider.refreshes(), 1)
		s = h.fresh(t, s, session.Need{Force: true})
		count(t, "a second at once", h.provider.refreshes(), 1)
		s = h.replica(t).fresh(t, s, session.Need{Force: true})
		count(t, "a second at another replica", h.provider.refreshes(), 1)
		h.fresh(t, other, session.Need{Force: true})
		count(t, "another session's first", h.provider.refreshes(), 2)
		pass(9 * time.Second)
		s = h.fresh(t, s, session.Need{Force: true})
		count(t, "after nine seconds", h.provider.refreshes(), 2)
		pass(time.Second)
		generation(t, h.fresh(t, s, session.Need{Force: true}), 2)
		count(t, "after ten", h.provider.refreshes(), 3)
	})
}

func TestForcingWithAnOldCookieAdoptsWhatWasMade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		first := h.fresh(t, s, session.Need{Force: true})
		for _, h := range []*house{h, h.replica(t)} {
			pass(20 * time.Second)
			if got := h.fresh(t, s, session.Need{Force: true}); got.Tokens.AccessToken != first.Tokens.AccessToken {
				t.Errorf("got %s, want the token that was made already", got.Tokens.AccessToken)
			}
		}
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}

func TestAForcedRefreshThatFailsServesWhatThereIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.provider.before = func(int) error { return &session.Unavailable{} }
		s, _ := h.signIn(t)
		for range 3 {
			if got := h.fresh(t, s, session.Need{Force: true}); got != s {
				t.Errorf("got %+v, want the living form", got)
			}
		}
		count(t, "attempts", h.provider.refreshes(), 1)
	})
}

func TestWithoutARefreshTokenTheSessionLastsAsLongAsItsToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		now := time.Now()
		s, _, err := h.Start(t.Context(), session.Tokens{AccessToken: "a", Issued: now, Expires: now.Add(time.Minute)}, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		pass(59 * time.Second)
		if got := h.fresh(t, s, session.Need{Force: true}); got != s {
			t.Error("another form came from nowhere")
		}
		pass(time.Second)
		_, err = h.Fresh(t.Context(), s, session.Need{})
		ended(t, err, session.ReasonNoRefresh)
		h.End(t.Context(), s)
		count(t, "calls to the provider", h.provider.refreshes()+len(h.provider.revocations()), 0)
	})
}

// A provider whose tokens are over when they come must not be asked for ever within one request.
func TestTokensBornDeadAreNotChased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		pass(time.Hour)
		h.provider.life = 0
		_, err := h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		if got := h.provider.refreshes(); got > 3 {
			t.Errorf("%d refreshes for one request, want at most 3", got)
		}
	})
}

// Twenty tabs asked for a new token at once; those that came after the refresh, still with the old cookie, got the old token.
func TestAStragglerThatAsksTooSoonGetsTheSuccessorAndNotTheOldToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		old, _ := h.signIn(t)
		first := h.fresh(t, old, session.Need{Force: true})
		pass(2 * time.Second)
		// Also who asks for nothing: the first answer may never have reached the browser, and the old cookie leads nowhere in the end.
		for _, need := range []session.Need{{Force: true}, {MinTTL: time.Hour}, {}} {
			if got := h.fresh(t, old, need); got.Tokens.AccessToken != first.Tokens.AccessToken {
				t.Errorf("%+v: got generation %d, want the successor's token", need, got.Generation)
			}
		}
	})
}
