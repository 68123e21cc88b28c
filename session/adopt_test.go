package session_test

import (
	"sync"
	"testing"
	"time"

	"vestibule/session"
)

// foreign are tokens that the provider gave to another program, ago in the past.
func (h *house) foreign(t testing.TB, ago time.Duration) session.Tokens {
	t.Helper()
	tokens := h.provider.grant()
	tokens.Issued, tokens.Expires = tokens.Issued.Add(-ago), tokens.Expires.Add(-ago)
	return tokens
}

// adopt is Adopt that must succeed.
func (h *house) adopt(t testing.TB, tokens session.Tokens, started time.Time) *session.Session {
	t.Helper()
	s, err := h.Adopt(t.Context(), tokens, started, "")
	if err != nil {
		t.Fatalf("adopt: %v", err)
	}
	return s
}

func TestAdoptedTokensMakeOneSessionWhereverTheyAreBrought(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		other := h.replica(t)
		mine, theirs := h.foreign(t, 2*time.Hour), h.foreign(t, 2*time.Hour)
		first := h.adopt(t, mine, time.Now())
		if second := other.adopt(t, mine, time.Now()); second.ID != first.ID {
			t.Error("another replica made another session of the same tokens")
		}
		if s := h.adopt(t, theirs, time.Now()); s.ID == first.ID {
			t.Error("two refresh tokens made one session")
		}
		elsewhere := newHouse(t, func(c *session.Config) { c.ClientID = "another" })
		if s := elsewhere.adopt(t, mine, time.Now()); s.ID == first.ID {
			t.Error("another client's session has the same ID")
		}

		var group sync.WaitGroup
		for i := range 8 {
			at := []*house{h, other}[i%2]
			group.Go(func() {
				s, err := at.Adopt(t.Context(), mine, time.Now(), "")
				if err == nil {
					s, err = at.Fresh(t.Context(), s, session.Need{})
				}
				if err != nil || s.Generation != 1 {
					t.Errorf("got %v, generation %d", err, s.Generation)
				}
			})
		}
		group.Wait()
		count(t, "refreshes", h.provider.refreshes(), 1)
		generation(t, h.adopt(t, mine, time.Now()), 1) // a straggler gets the newest form
		if got := h.seen("adoption adopted"); got < 5 {
			t.Errorf("%d adoptions were observed", got)
		}
	})
}

func TestAnAdoptedSessionAgesFromItsRealSignIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(c *session.Config) { c.MaxAge = 5 * time.Hour })
		tokens := h.foreign(t, 0)
		s := h.adopt(t, tokens, time.Now().Add(-4*time.Hour))
		if got, want := h.Expires(s), time.Now().Add(time.Hour); !got.Equal(want) {
			t.Errorf("expires %v, want %v", got, want)
		}
		b := &browser{}
		h.write(t, b, s)
		pass(59 * time.Minute)
		h.load(t, b)
		pass(time.Minute)
		_, err := h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonExpired)
		_, err = h.Adopt(t.Context(), tokens, time.Now().Add(-5*time.Hour), "")
		ended(t, err, session.ReasonExpired)
		count(t, "adoptions of what has expired", h.seen("adoption expired"), 1)
	})
}

func TestWhatWasEndedIsNotAdoptedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		tokens := h.foreign(t, 2*time.Hour)
		s := h.fresh(t, h.adopt(t, tokens, time.Now()), session.Need{})
		generation(t, s, 1)
		h.End(t.Context(), s)
		for name, h := range map[string]*house{"here": h, "in another replica": h.replica(t)} {
			_, err := h.Adopt(t.Context(), tokens, time.Now(), "")
			if e := ended(t, err, session.ReasonSignedOut); e.KeepCookies {
				t.Errorf("%s: the cookies stay", name)
			}
		}
		if got := h.provider.revocations(); len(got) != 1 || got[0] != s.Tokens.RefreshToken {
			t.Errorf("revoked %v, want %s", got, s.Tokens.RefreshToken)
		}

		refused := h.foreign(t, 2*time.Hour)
		refused.RefreshToken = "invented"
		_, err := h.Fresh(t.Context(), h.adopt(t, refused, time.Now()), session.Need{})
		ended(t, err, session.ReasonRefused)
		_, err = h.Adopt(t.Context(), refused, time.Now(), "")
		ended(t, err, session.ReasonRefused)
	})
}

func TestWithoutARefreshTokenTheSessionLivesAsLongAsItsAccessToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		tokens := h.foreign(t, 30*time.Minute)
		tokens.RefreshToken = ""
		s := h.adopt(t, tokens, time.Now())
		if again := h.adopt(t, tokens, time.Now()); again.ID != s.ID {
			t.Error("the same access token made two sessions")
		}
		other := h.foreign(t, 0)
		other.RefreshToken = ""
		if h.adopt(t, other, time.Now()).ID == s.ID {
			t.Error("two access tokens made one session")
		}
		pass(30 * time.Minute)
		_, err := h.Adopt(t.Context(), tokens, time.Now(), "")
		ended(t, err, session.ReasonNoRefresh)
	})
}

// Access tokens are shown to scripts and sent to other services. Whoever has one, and makes up a refresh token, must not
// be taken for its owner when it has run out.
func TestAnAdoptedSessionIsProvenByItsFirstRefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		tokens := h.foreign(t, 30*time.Minute)
		s := h.adopt(t, tokens, time.Now())
		b := &browser{}
		h.write(t, b, s)
		if h.Unproven(h.load(t, b)) {
			t.Error("unproven while the access token lives")
		}
		pass(30 * time.Minute)
		if !h.Unproven(h.load(t, b)) {
			t.Error("proven although the access token has run out")
		}
		newer := h.fresh(t, h.load(t, b), session.Need{})
		h.write(t, b, newer)
		pass(2 * time.Hour)
		if h.Unproven(h.load(t, b)) {
			t.Error("unproven after a refresh")
		}
		own, _ := h.signIn(t)
		pass(2 * time.Hour)
		if h.Unproven(own) {
			t.Error("a session that began here is unproven")
		}
	})
}

func TestASessionIsSupersededWhileANewerFormExistsOrIsMade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		tokens := h.foreign(t, 57*time.Minute)
		s := h.adopt(t, tokens, time.Now())
		if h.Superseded(t.Context(), s) {
			t.Error("superseded by nothing")
		}
		h.provider.delay = 5 * time.Second
		h.fresh(t, s, session.Need{}) // waits 2 s, serves the living token, and the refresh goes on
		if !h.replica(t).Superseded(t.Context(), s) {
			t.Error("not superseded while a refresh runs")
		}
		pass(5 * time.Second)
		if !h.Superseded(t.Context(), s) {
			t.Error("not superseded by the newer form")
		}
		if h.Superseded(t.Context(), h.fresh(t, s, session.Need{})) {
			t.Error("the newest form is superseded")
		}
		without := tokens
		without.RefreshToken = ""
		if h.Superseded(t.Context(), h.adopt(t, without, time.Now())) {
			t.Error("superseded although nothing can be refreshed")
		}
		h.store.SetDown(true)
		if !h.Superseded(t.Context(), h.adopt(t, h.foreign(t, 0), time.Now())) {
			t.Error("not superseded while nobody can say: a newer form's cookie could be overwritten")
		}
	})
}
