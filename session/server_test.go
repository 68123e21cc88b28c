package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/session"
)

// inCookiesOnly are tests of what only cookies have: chunks, sizes, old copies of a session in a browser, a store that may be down.
var inCookiesOnly = []string{
	"Fuzz.*", ".*Chunk.*", "TestGoingFromManyToOneClearsTheRest", "TestInServerModeToo", "TestTheTwoModes.*",
	"TestARememberedCookieIsStillJudgedEveryTime", "TestAChangeOfKeysForgetsWhatWasRemembered", "TestKeysThatTurnBetweenTwoLooksStillOpen",
	"TestALeanSessionKeepsWhatARefreshNeeds", "TestASessionTooLarge.*",
	"TestASessionIsSupersededWhileANewerFormExistsOrIsMade", "TestAnIdleCopyOfACookieDoesNotEndTheSessionThatSlidOn",
	"TestEndRevokesTheNewestRefreshToken", "TestSessionIDsAreNotRepeated", "TestAThrottledRefreshOfTheNewestFormDoesNotRobAStraggler",
	"TestWithoutTheStoreOneProcessStillRefreshesOnce", "TestWhoeverIsRefusedAndCannotLookKeepsTheCookies", "TestARefusalWithoutTheStoreKeepsTheCookies",
	"TestEndHoldsWhenTheBrowserHangsUpAndWhenTheStoreIsDown", "TestAStoreThatIsDownSignsNobodyOut", "TestAStoreThatIsDownDoesNotStopASignIn", "TestWhileTheTokenLivesARefreshWaitsForTheStore",
}

// Whatever holds for a session in a cookie holds for one behind a ticket: the tests are the same.
func TestInServerModeToo(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.skip=^("+strings.Join(inCookiesOnly, "|")+")$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), inServerMode+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in server mode: %v\n%s", err, out)
	}
}

func serverMode(c *session.Config) { c.Mode = session.ModeServer }

func TestATicketIsSmallAndTheStoreOpensNothing(t *testing.T) {
	kept := kv.NewMemory(kv.MemoryConfig{})
	spied := &spy{Store: kept}
	h := newHouse(t, serverMode, func(c *session.Config) { c.Store = spied })
	tokens := h.provider.grant()
	tokens.AccessToken, tokens.IDToken = strings.Repeat("a", 3000), strings.Repeat("i", 3000)
	s, cookies, err := h.Start(t.Context(), tokens, nil, "Firefox on Windows")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(cookies[0].Name) + len(cookies[0].Value); len(cookies) != 1 || n >= 200 {
		t.Errorf("%d cookies, the first of %d bytes; want one below 200", len(cookies), n)
	}
	b := &browser{}
	b.take(cookies)
	if got := h.load(t, b); got.Tokens.AccessToken != tokens.AccessToken || got.ID != s.ID {
		t.Error("another session came back")
	}
	for key, value := range spied.written() {
		for _, secret := range []string{"aaaaaaaa", "iiiiiiii", "Ada", "refresh-1", "Firefox"} {
			if bytes.Contains(value, []byte(secret)) || strings.Contains(key, "ada") {
				t.Errorf("%s says %s", key, secret)
			}
		}
	}

	// Whoever holds the store and the server's keys still lacks the ticket: another ticket opens nothing.
	other, _ := h.signIn(t)
	e, err := kept.Get(t.Context(), "session/"+s.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Put(t.Context(), kv.Write{Key: "session/" + other.ID.String(), Value: e.Value, TTL: time.Hour, If: kv.Any}); err != nil {
		t.Fatal(err)
	}
	if err := h.Alive(t.Context(), other); !errors.Is(err, session.ErrUnreadable) {
		t.Errorf("a session under another's key: %v, want ErrUnreadable", err)
	}
}

// spy remembers what was written.
type spy struct {
	kv.Store
	mu  sync.Mutex
	all map[string][]byte
}

func (s *spy) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	s.mu.Lock()
	if s.all == nil {
		s.all = map[string][]byte{}
	}
	s.all[w.Key] = w.Value
	s.mu.Unlock()
	return s.Store.Put(ctx, w)
}

func (s *spy) written() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// A neighbour's renewal made the session again when its row was gone: a request in flight brought back who was signed out.
func TestARenewalInFlightBringsNoEndedSessionBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, serverMode)
		there := h.replica(t, serverMode)
		s, b := h.signIn(t)
		pass(2 * time.Hour)
		h.provider.delay = 3 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := h.Fresh(t.Context(), s, session.Need{})
			ended(t, err, session.ReasonSignedOut)
		})
		pass(time.Second)
		there.End(t.Context(), s)
		wg.Wait()
		for _, replica := range []*house{h, there} {
			_, err := replica.Load(t.Context(), b.header())
			ended(t, err, session.ReasonSignedOut)
		}
		pass(time.Minute)
		if got := fmt.Sprint(h.provider.revocations()); !strings.Contains(got, "refresh-2") {
			t.Errorf("revoked %s: the tokens that came too late live on", got)
		}
	})
}

func TestAReplicaThatHoldsAnOldFormSpendsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, serverMode)
		there := h.replica(t, serverMode)
		old, b := h.signIn(t)
		pass(2 * time.Hour)
		newer := h.fresh(t, old, session.Need{})
		pass(5 * time.Minute) // the kept result is gone
		got := there.fresh(t, old, session.Need{Force: true})
		generation(t, got, newer.Generation)
		count(t, "refreshes", h.provider.refreshes(), 1)
		generation(t, there.load(t, b), 1)
	})
}

func TestInServerModeAStoreThatIsDownIsNoSignOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, serverMode)
		_, b := h.signIn(t)
		h.store.SetDown(true)
		_, err := h.Load(t.Context(), b.header())
		unavailable(t, err)
		count(t, "told", h.seen("store_down"), 1)
		if _, _, err := h.Start(t.Context(), h.provider.grant(), nil, ""); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("a sign-in that nobody keeps: %v, want ErrUnavailable", err)
		}
		h.store.SetDown(false)
		h.load(t, b)
	})
}

// The provider has spent the old token, and the store is away at that moment: the new one must not be lost.
func TestARenewalThatTheStoreDidNotTakeIsPutThereWhenItIsBack(t *testing.T) {
	for name, mode := range map[string]session.Mode{"cookie": session.ModeCookie, "server": session.ModeServer} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				in := func(c *session.Config) { c.Mode = mode }
				h := newHouse(t, in)
				there := h.replica(t, in)
				s, b := h.signIn(t)
				pass(2 * time.Hour)
				h.provider.after = func(int) error { h.store.SetDown(true); return nil }
				newer := h.fresh(t, s, session.Need{})
				generation(t, newer, 1)
				pass(time.Second)
				h.store.SetDown(false)
				h.provider.after = nil
				pass(5 * time.Second)
				got := there.fresh(t, there.load(t, b), session.Need{})
				generation(t, got, 1)
				count(t, "refreshes", h.provider.refreshes(), 1)
			})
		})
	}
}

func TestASignOutWhileTheStoreIsDownHoldsWhenItIsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, serverMode)
		there := h.replica(t, serverMode)
		_, b := h.signIn(t)
		h.store.SetDown(true)
		h.Abandon(t.Context(), b.header())
		h.store.SetDown(false)
		_, err := h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)
		pass(30 * time.Second)
		_, err = there.Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)
	})
}

func TestIdleAndAbsoluteLifetimeHoldInServerMode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, serverMode, func(c *session.Config) { c.IdleTimeout, c.MaxAge = time.Hour, 5*time.Hour })
		_, idle := h.signIn(t)
		_, busy := h.signIn(t)
		for range 9 {
			pass(30 * time.Minute)
			s := h.load(t, busy)
			if _, slid := h.Slide(t.Context(), s); !slid {
				t.Fatal("it does not slide")
			}
		}
		if _, err := h.Load(t.Context(), idle.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("idle for hours: %v", err)
		}
		pass(30*time.Minute + time.Second)
		if _, err := h.Load(t.Context(), busy.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("past its absolute lifetime: %v", err)
		}
	})
}

func TestSomebodySeesAndEndsTheirOwnSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, serverMode)
		start := func(sub, device string) (*session.Session, *browser) {
			tokens := h.provider.grant()
			tokens.Subject, tokens.ProviderID = sub, "sid of "+device
			s, cookies, err := h.Start(t.Context(), tokens, nil, device)
			if err != nil {
				t.Fatal(err)
			}
			b := &browser{}
			b.take(cookies)
			pass(time.Minute)
			return s, b
		}
		phone, phoneBrowser := start("ada", "Safari on iPhone")
		laptop, laptopBrowser := start("ada", "Firefox on Linux")
		_, gone := start("ada", "Chrome on Windows")
		bob, bobsBrowser := start("bob", "Edge on Windows")
		h.End(t.Context(), h.load(t, gone))

		listed, err := h.Sessions(t.Context(), laptop)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, l := range listed {
			got += fmt.Sprintf("%s %t; ", l.Device, l.Current)
		}
		if want := "Firefox on Linux true; Safari on iPhone false; "; got != want {
			t.Errorf("listed %q, want %q", got, want)
		}
		if err := h.EndListed(t.Context(), laptop, bob.ID.String(), "no such"); err != nil {
			t.Error(err)
		}
		h.load(t, bobsBrowser) // somebody else's is not in the list
		if err := h.EndListed(t.Context(), laptop, phone.ID.String()); err != nil {
			t.Error(err)
		}
		_, err = h.Load(t.Context(), phoneBrowser.header())
		ended(t, err, session.ReasonElsewhere)
		_, again := start("ada", "Safari on iPad")
		h.load(t, again)
		if err := h.EndOthers(t.Context(), laptop); err != nil {
			t.Error(err)
		}
		_, err = h.Load(t.Context(), again.header())
		ended(t, err, session.ReasonElsewhere)
		h.load(t, laptopBrowser)
		h.store.SetDown(true)
		if err := h.EndOthers(t.Context(), laptop); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("ending others with the store down: %v", err)
		}
		if _, err := h.Sessions(t.Context(), laptop); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("with the store down: %v", err)
		}
	})
	h := newHouse(t, func(c *session.Config) { c.Mode = session.ModeCookie })
	s, _ := h.signIn(t)
	if _, err := h.Sessions(t.Context(), s); !errors.Is(err, session.ErrNoList) {
		t.Errorf("in cookie mode: %v, want ErrNoList", err)
	}
}

func TestOfManyWhoSignInAtOnceNoneIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, serverMode)
		houses := []*house{h, h.replica(t, serverMode), h.replica(t, serverMode)}
		var wg sync.WaitGroup
		browsers := make([]*browser, 60)
		for i := range browsers {
			wg.Go(func() { _, browsers[i] = houses[i%3].signIn(t) })
		}
		wg.Wait()
		listed, err := h.Sessions(t.Context(), h.load(t, browsers[0]))
		if err != nil {
			t.Fatal(err)
		}
		count(t, "listed", len(listed), 60)
	})
}
