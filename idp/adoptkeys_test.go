package idp_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp"
)

const poolKeysPath = "/eu-west-1_AbC/keys"

// poolAnswer makes the pool answer a sign-in or a refresh with an ID token of this key.
func (f *fake) poolAnswer(t *testing.T, key any, id string) {
	f.answers(sign(t, jose.RS256, key, id, poolClaims("id", map[string]any{"nonce": nonce})))
}

// brought is what a browser might bring that was signed so long ago with a key of that name.
func brought(t *testing.T, key any, id string, age time.Duration) idp.Foreign {
	t.Helper()
	at := time.Now().Add(-age)
	changes := map[string]any{"iat": at.Unix(), "exp": at.Add(time.Hour).Unix()}
	return idp.Foreign{AccessToken: sign(t, jose.RS256, key, id, poolClaims("access", changes)), RefreshToken: "r"}
}

func adopt(p *idp.Provider, f idp.Foreign) error {
	_, _, err := p.Adopt(context.Background(), f)
	return err
}

// Anybody can invent the cookies of Amplify's adapter. What they hold must neither spend an honest person's code nor delay a refresh when
// the provider rolls its keys.
func TestInventedSessionsDoNotKeepAKeyRollFromBeingNoticed(t *testing.T) {
	for name, row := range map[string]struct {
		kid string
		use func(*idp.Provider) (idp.Tokens, error)
	}{
		"a sign-in, after an unknown name": {"unknown", exchange},
		"a sign-in, after a known name":    {"a", exchange},
		"a refresh, after an unknown name": {"unknown", refresh},
		"a refresh, after a known name":    {"a", refresh},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newCognito()
				p := open(t, f)
				f.poolAnswer(t, keyA(), "a")
				if _, err := row.use(p); err != nil {
					t.Fatal(err)
				}
				if err := adopt(p, brought(t, keyB(), row.kid, 0)); !errors.Is(err, idp.ErrUntrusted) {
					t.Fatalf("the invented session: got %v, want ErrUntrusted", err)
				}
				f.rolls()
				f.poolAnswer(t, keyB(), "b")
				start := time.Now()
				if _, err := row.use(p); err != nil || time.Since(start) != 0 {
					t.Errorf("after the roll: %v after %s, want it verified at once", err, time.Since(start))
				}
			})
		})
	}
}

func TestInventedSessionsAndForgedLogoutTokensDoNotDelayEachOther(t *testing.T) {
	logout := func(t *testing.T, p *idp.Provider, kid string) error {
		_, err := p.VerifyLogoutToken(t.Context(), sign(t, jose.RS256, keyB(), kid, logoutClaims(map[string]any{"iss": cognitoIssuer})))
		return err
	}
	session := func(t *testing.T, p *idp.Provider, kid string) error { return adopt(p, brought(t, keyB(), kid, 0)) }
	for name, row := range map[string]struct {
		forged, honest func(*testing.T, *idp.Provider, string) error
	}{
		"a logout token after an invented session": {session, logout},
		"a session after a forged logout token":    {logout, session},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newCognito()
				p := open(t, f)
				if err := row.forged(t, p, "unknown"); !errors.Is(err, idp.ErrUntrusted) {
					t.Fatalf("the forgery: got %v, want ErrUntrusted", err)
				}
				f.rolls()
				start := time.Now()
				if err := row.honest(t, p, "b"); err != nil || time.Since(start) != 0 {
					t.Errorf("got %v after %s, want it accepted at once", err, time.Since(start))
				}
			})
		})
	}
}

func TestInventedSessionsCostOneFetchInTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCognito()
		p := open(t, f)
		if err := adopt(p, brought(t, keyA(), "a", 0)); err != nil {
			t.Fatal(err)
		}
		for second := range 30 {
			for _, kid := range []string{"unknown", "a"} {
				if err := adopt(p, brought(t, keyB(), kid, 0)); !errors.Is(err, idp.ErrUntrusted) && !errors.Is(err, idp.ErrUnavailable) {
					t.Fatalf("got %v", err)
				}
			}
			if got, want := f.count(poolKeysPath)-1, second/10+1; got != want {
				t.Fatalf("second %d: %d fetches, want %d", second, got, want)
			}
			pass(time.Second)
		}
	})
}

// At a start without keys it is sessions that ask for them first, as often as not.
func TestSessionsThatFindNoKeysDoNotDelayASignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCognito()
		f.on(poolKeysPath, status(http.StatusServiceUnavailable, ""))
		p := open(t, f)
		for range 5 {
			if err := adopt(p, brought(t, keyA(), "a", 0)); !errors.Is(err, idp.ErrUnavailable) {
				t.Fatalf("without keys: got %v, want ErrUnavailable", err)
			}
			pass(10 * time.Second)
		}
		if err := adopt(p, brought(t, keyA(), "a", 0)); !errors.Is(err, idp.ErrUnavailable) {
			t.Fatalf("without keys: got %v, want ErrUnavailable", err)
		}
		f.on(poolKeysPath, f.serve)
		f.poolAnswer(t, keyA(), "a")
		start := time.Now()
		if _, err := exchange(p); err != nil || time.Since(start) != 0 {
			t.Errorf("got %v after %s, want the sign-in at once", err, time.Since(start))
		}
	})
}

// The adapter's cookies live for weeks, and the keys that signed them may be gone: that is known without a question.
func TestASessionThatARetiredKeySignedIsRefusedAtOnceHoweverManyComeSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCognito()
		p := open(t, f)
		if err := adopt(p, brought(t, keyA(), "a", 0)); err != nil {
			t.Fatal(err)
		}
		old := brought(t, keyB(), "retired", 48*time.Hour)
		refused := func(when string) {
			t.Helper()
			for range 5 {
				if err := adopt(p, old); !errors.Is(err, idp.ErrUntrusted) {
					t.Fatalf("%s: got %v, want ErrUntrusted", when, err)
				}
			}
		}
		refused("at first")
		if got := f.count(poolKeysPath); got != 1 {
			t.Errorf("%d fetches of keys, want the first alone", got)
		}
		if err := adopt(p, brought(t, keyB(), "invented", 0)); !errors.Is(err, idp.ErrUntrusted) {
			t.Fatalf("an invented one: got %v, want ErrUntrusted", err)
		}
		refused("beside an invented one")
		f.on(poolKeysPath, status(http.StatusServiceUnavailable, ""))
		refused("while the keys cannot be had")
		if err := adopt(p, brought(t, keyA(), "a", 48*time.Hour)); err != nil {
			t.Errorf("one of a living key that is as old: %v", err)
		}
	})
}

// Some providers sign with a key before they publish it, and their clocks are not ours.
func TestASessionMayBeOlderThanThePublicationOfItsKey(t *testing.T) {
	for name, row := range map[string]struct {
		age     time.Duration
		want    error
		fetches int
	}{
		"by less than five minutes": {5*time.Minute - time.Second, nil, 2},
		"by five minutes":           {5 * time.Minute, nil, 2},
		"by more":                   {5*time.Minute + time.Second, idp.ErrUntrusted, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newCognito()
				p := open(t, f)
				if err := adopt(p, brought(t, keyA(), "a", 0)); err != nil {
					t.Fatal(err)
				}
				late := brought(t, keyB(), "b", row.age)
				pass(time.Hour) // the age that counts is that of the keys which are held
				f.rolls()
				if err := adopt(p, late); !errors.Is(err, row.want) || f.count(poolKeysPath) != row.fetches {
					t.Errorf("got %v after %d fetches, want %v after %d", err, f.count(poolKeysPath), row.want, row.fetches)
				}
				f.poolAnswer(t, keyB(), "b")
				if _, err := exchange(p); err != nil {
					t.Fatal(err)
				}
				if err := adopt(p, late); err != nil {
					t.Errorf("when somebody else has brought the key: %v", err)
				}
			})
		})
	}
}
