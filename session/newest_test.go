package session_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"vestibule/session"
)

// Twenty tabs share one session: what the provider said to the newest form is no verdict on who still holds the first.
func TestAThrottledRefreshOfTheNewestFormDoesNotRobAStraggler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		old, _ := h.signIn(t)
		pass(30 * time.Minute)
		first := h.fresh(t, old, session.Need{Force: true})
		generation(t, first, 1)
		pass(30*time.Minute + time.Second)
		h.provider.before = func(int) error { return &session.Unavailable{RetryAfter: 30 * time.Second} }
		if got := h.fresh(t, first, session.Need{Force: true}); got != first {
			t.Fatal("whoever asked for a new token did not get the living one")
		}
		count(t, "calls: one that was answered, one that was throttled", h.provider.refreshes(), 2)
		for name, h := range map[string]*house{"here": h, "at another replica": h.replica(t)} {
			got, err := h.Fresh(t.Context(), old, session.Need{})
			if err != nil {
				t.Errorf("%s: the straggler got %v, want the living token of generation 1", name, err)
				continue
			}
			if got.Tokens.AccessToken != first.Tokens.AccessToken || got.Generation != 1 {
				t.Errorf("%s: the straggler got generation %d, want 1", name, got.Generation)
			}
		}
		count(t, "calls after the stragglers", h.provider.refreshes(), 2)
	})
}

// A clock that is ahead makes every token over when it comes. The refresh token that was sent is spent all the same.
func TestATokenThatIsOverWhenItComesIsGivenWithTheError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		pass(time.Hour)
		h.provider.life = -time.Minute
		newest, err := h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		if newest == nil {
			t.Fatal("the newest form is not given: the browser keeps a refresh token that is spent")
		}
		generation(t, newest, 1)
		count(t, "refreshes: another would bring another of its kind", h.provider.refreshes(), 1)

		h.write(t, b, newest)
		h.provider.life = time.Hour
		pass(24 * time.Hour) // what was kept for stragglers is gone: only the cookie can tell
		got := h.fresh(t, h.load(t, b), session.Need{})
		if got.Left(time.Now()) != time.Hour {
			t.Errorf("%s left once the clock is right, want 1h", got.Left(time.Now()))
		}
	})
}

func TestALeanSessionKeepsWhatARefreshNeeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		tokens := h.provider.grant()
		tokens.IDToken, tokens.Nonce = part(noise(2, 4000)), "nonce"
		tokens.Claims = json.RawMessage(`{"sub":"ada"}`)
		tokens.AccessToken = part(noise(3, 10_000))
		_, _, err := h.Start(t.Context(), tokens, nil, "")
		if !errors.Is(err, session.ErrTooLarge) {
			t.Fatalf("got %v: too small to prove anything", err)
		}
		tokens.IDToken = ""
		s, _, err := h.Start(t.Context(), tokens, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		grown := *s
		grown.Tokens.IDToken = part(noise(2, 4000))
		if _, err := h.Cookies(&grown, nil); !errors.Is(err, session.ErrTooLarge) {
			t.Fatalf("got %v, want ErrTooLarge", err)
		}
		b := &browser{}
		h.write(t, b, grown.Lean())
		if grown.Tokens.IDToken == "" {
			t.Error("Lean changed the session itself: requests share it")
		}
		got := h.load(t, b)
		if got.ID != s.ID || got.Tokens.RefreshToken != tokens.RefreshToken || got.Tokens.Subject != "ada" || got.Tokens.Nonce != "nonce" {
			t.Errorf("what a refresh needs did not come back: %+v", got.Tokens)
		}
		if got.Tokens.IDToken != "" || got.Tokens.Claims != nil {
			t.Error("what can be done without is still there")
		}
		pass(time.Hour)
		generation(t, h.fresh(t, got, session.Need{}), 1)
	})
}

// A session that nobody will ever hold must not stay alive at the provider.
func TestASessionTooLargeToStartIsRevoked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		tokens := h.provider.grant()
		tokens.AccessToken = part(noise(1, 20_000))
		if _, _, err := h.Start(t.Context(), tokens, nil, ""); !errors.Is(err, session.ErrTooLarge) {
			t.Fatalf("got %v, want ErrTooLarge", err)
		}
		if err := h.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := h.provider.revocations(); len(got) != 1 || got[0] != tokens.RefreshToken {
			t.Errorf("revoked %v, want %s", got, tokens.RefreshToken)
		}
		count(t, "cookies observed", h.seen("cookie"), 0)
	})
}
