package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/session"
)

// begin begins a sign-in in a browser.
func (h *house) begin(t testing.TB, b *browser, returnTo string) session.Pending {
	t.Helper()
	p, cookies, err := h.Begin(b.header(), session.Errand{ReturnTo: returnTo})
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	b.take(cookies)
	return p
}

func TestAPendingSignInComesBackToItsBrowserOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		b := &browser{}
		p := h.begin(t, b, "/inbox?a=1&b=ü")
		stale := b.copy()
		pass(session.PendingLife - time.Second)
		got, gone, err := h.replica(t).Take(t.Context(), b.header(), p.State)
		if err != nil || got.State != p.State || got.Nonce != p.Nonce || got.Verifier != p.Verifier || got.ReturnTo != "/inbox?a=1&b=ü" {
			t.Fatalf("took %+v, %v; want %+v", got, err, p)
		}
		b.take(gone)
		if got := b.names(); got != "" {
			t.Errorf("the browser keeps %q", got)
		}
		_, _, err = h.Take(t.Context(), b.header(), p.State)
		if !errors.Is(err, session.ErrPendingUsed) {
			t.Errorf("without its cookie: %v, want ErrPendingUsed", err)
		}
		got, gone, err = h.Take(t.Context(), stale.header(), p.State)
		if !errors.Is(err, session.ErrPendingUsed) || len(gone) != 1 || gone[0].MaxAge >= 0 || got != (session.Pending{}) {
			t.Errorf("a second time: %+v, %v, %v; want ErrPendingUsed and the cookie deleted", got, gone, err)
		}
	})
}

func TestItsSecretsAreFreshAndOfTheirForm(t *testing.T) {
	h := newHouse(t)
	seen := map[string]bool{}
	for range 200 {
		p := h.begin(t, &browser{}, "/")
		for name, c := range map[string]struct {
			value string
			want  int
		}{"state": {p.State, 22}, "nonce": {p.Nonce, 22}, "verifier": {p.Verifier, 43}} {
			if len(c.value) != c.want || seen[c.value] || strings.Trim(c.value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Fatalf("%s %q: seen before, or not %d characters of base64url", name, c.value, c.want)
			}
			seen[c.value] = true
		}
	}
}

// In a neighbour only the last of several tabs could sign in: each overwrote the cookie of the one before.
func TestSeveralTabsSignInAtOnce(t *testing.T) {
	h := newHouse(t)
	b := &browser{}
	var all []session.Pending
	var sets [][]*http.Cookie
	for i := range session.MaxPending { // all begin before the first answer arrives
		p, cookies, err := h.Begin(nil, session.Errand{ReturnTo: fmt.Sprintf("/%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		all, sets = append(all, p), append(sets, cookies)
	}
	for _, cookies := range sets {
		b.take(cookies)
	}
	for _, i := range []int{3, 0, 4, 1, 2} {
		p, gone, err := h.Take(t.Context(), b.header(), all[i].State)
		if err != nil || p.ReturnTo != fmt.Sprintf("/%d", i) {
			t.Errorf("tab %d: %+v, %v", i, p, err)
		}
		b.take(gone)
	}
	if got := b.names(); got != "" {
		t.Errorf("the browser keeps %q", got)
	}
}

// Prefetches made pending cookies pile up at two neighbours until the server answered 431.
func TestPendingSignInsAreFewAndTheOldestGivesWay(t *testing.T) {
	for name, gap := range map[string]time.Duration{"a second apart": time.Second, "within one second": 0} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t)
				b := &browser{}
				var all []session.Pending
				for range 12 {
					all = append(all, h.begin(t, b, "/"))
					if len(b.cookies) > session.MaxPending {
						t.Fatalf("%d pending sign-ins, want at most %d", len(b.cookies), session.MaxPending)
					}
					pass(gap)
				}
				count(t, "evictions", h.seen("pending_evicted"), 12-session.MaxPending)
				for i, p := range all {
					_, _, err := h.Take(t.Context(), b.header(), p.State)
					if kept := i >= 12-session.MaxPending; kept != (err == nil) {
						t.Errorf("sign-in %d of 12: %v", i+1, err)
					}
				}
			})
		})
	}
}

func TestPendingSignInsAreBoundedInBytesToo(t *testing.T) {
	h := newHouse(t)
	b := &browser{}
	var last session.Pending
	for range 10 {
		last = h.begin(t, b, "/"+strings.Repeat("x", session.MaxReturnTo-1))
		if got := len(b.header()[0]); got > 6<<10+20 {
			t.Fatalf("%d bytes of pending sign-ins, want at most 6 kB", got)
		}
	}
	if len(b.cookies) < 2 {
		t.Errorf("%d pending sign-ins, want at least two tabs", len(b.cookies))
	}
	if _, _, err := h.Take(t.Context(), b.header(), last.State); err != nil {
		t.Errorf("the newest: %v", err)
	}
}

func TestUnreadableAndExpiredOnesGiveWayBeforeTheOldest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		b := &browser{}
		h.begin(t, b, "/expired")
		pass(session.PendingLife)
		b.cookies = append(b.cookies, pair(cookieName+".p.0badf00d", "garbage"), pair(cookieName+".p.", ""))
		kept := h.begin(t, b, "/kept")
		count(t, "pending sign-ins", len(b.cookies), 1)
		if _, _, err := h.Take(t.Context(), b.header(), kept.State); err != nil {
			t.Error(err)
		}
		count(t, "evictions", h.seen("pending_evicted"), 0)
	})
}

func TestAPendingSignInIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(h *house, b *browser, p *session.Pending)
	}{
		"in a foreign browser": {func(_ *house, b *browser, _ *session.Pending) { b.cookies = nil }},
		"with another state":   {func(_ *house, _ *browser, p *session.Pending) { p.State = flip(p.State, 3) }},
		"with no state":        {func(_ *house, _ *browser, p *session.Pending) { p.State = "" }},
		"with a huge state":    {func(_ *house, _ *browser, p *session.Pending) { p.State = strings.Repeat("a", 1<<20) }},
		"after its life":       {func(*house, *browser, *session.Pending) { pass(session.PendingLife) }},
		"changed": {func(_ *house, b *browser, _ *session.Pending) {
			b.cookies[0] = pair(b.cookies[0].Name, flip(b.cookies[0].Value, 80))
		}},
		"cut": {func(_ *house, b *browser, _ *session.Pending) {
			b.cookies[0] = pair(b.cookies[0].Name, b.cookies[0].Value[:20])
		}},
		"when the key is removed": {func(h *house, _ *browser, _ *session.Pending) { h.ring.turn(key(2)) }},
		"under another one's name": {func(h *house, b *browser, p *session.Pending) {
			mine := b.cookies[0].Value
			*b = browser{}
			*p = h.begin(t, b, "/")
			b.cookies[0] = pair(b.cookies[0].Name, mine)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t)
				b := &browser{}
				p := h.begin(t, b, "/")
				c.spoil(h, b, &p)
				got, gone, err := h.Take(t.Context(), b.header(), p.State)
				if !errors.Is(err, session.ErrPendingUnknown) || got != (session.Pending{}) || gone != nil {
					t.Errorf("took %+v, %v, %v; want ErrPendingUnknown", got, gone, err)
				}
			})
		})
	}
}

func TestAPendingSignInSurvivesATurnOfTheKeys(t *testing.T) {
	h := newHouse(t)
	b := &browser{}
	p := h.begin(t, b, "/")
	h.ring.turn(key(2), key(1))
	if _, _, err := h.Take(t.Context(), b.header(), p.State); err != nil {
		t.Error(err)
	}
}

func TestOfManyWhoTakeTheSameSignInOneWins(t *testing.T) {
	h := newHouse(t)
	replica := h.replica(t)
	b := &browser{}
	p := h.begin(t, b, "/")
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 32 {
		wg.Go(func() {
			_, _, err := []*house{h, replica}[i%2].Take(t.Context(), b.header(), p.State)
			switch {
			case err == nil:
				mu.Lock()
				won++
				mu.Unlock()
			case !errors.Is(err, session.ErrPendingUsed):
				t.Errorf("a loser got %v, want ErrPendingUsed", err)
			}
		})
	}
	wg.Wait()
	count(t, "winners", won, 1)
}

func TestAStoreThatIsDownDoesNotStopASignIn(t *testing.T) {
	h := newHouse(t)
	b := &browser{}
	h.store.SetDown(true)
	p := h.begin(t, b, "/")
	if _, _, err := h.Take(t.Context(), b.header(), p.State); err != nil {
		t.Error(err)
	}
	if _, _, err := h.Start(t.Context(), h.provider.grant(), b.header(), ""); err != nil {
		t.Error(err)
	}
}

func TestAReturnToTooLongIsRefused(t *testing.T) {
	h := newHouse(t)
	if _, cookies, err := h.Begin(nil, session.Errand{ReturnTo: strings.Repeat("/", session.MaxReturnTo+1)}); err == nil || cookies != nil {
		t.Errorf("%d cookies, %v; want an error", len(cookies), err)
	}
	if cookies, err := h.Leave(strings.Repeat("/", session.MaxReturnTo+1), ""); err == nil || cookies != nil {
		t.Errorf("after a sign-out: %d cookies, %v; want an error", len(cookies), err)
	}
}

// A strict cookie would not come along when the provider sends the browser back.
func TestPendingCookiesAreAlwaysLax(t *testing.T) {
	h := newHouse(t, func(c *session.Config) { c.SameSite = http.SameSiteStrictMode })
	_, cookies, err := h.Begin(nil, session.Errand{ReturnTo: "/"})
	if err != nil || len(cookies) != 1 {
		t.Fatalf("%d cookies, %v", len(cookies), err)
	}
	c := cookies[0]
	want := "; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax"
	if got := strings.TrimPrefix(c.String(), c.Name+"="+c.Value); got != want || !strings.HasPrefix(c.Name, cookieName+".p.") {
		t.Errorf("%s: %q, want %q behind the session cookie's name", c.Name, got, want)
	}
	_, gone, err := h.Take(t.Context(), []string{c.Name + "=" + c.Value}, "x")
	if err == nil || gone != nil {
		t.Errorf("another state took it: %v", gone)
	}
}

func TestPendingSignInsAndSessionsDoNotDisturbEachOther(t *testing.T) {
	h := newHouse(t)
	s, b := h.signIn(t)
	p := h.begin(t, b, "/")
	if got := h.load(t, b); got.ID != s.ID {
		t.Error("another session was loaded")
	}
	h.write(t, b, s)
	b.take(h.Clear(b.header()))
	if got := b.names(); !strings.HasPrefix(got, cookieName+".p.") {
		t.Errorf("clearing the session left %q, want the pending sign-in", got)
	}
	if _, _, err := h.Take(t.Context(), b.header(), p.State); err != nil {
		t.Error(err)
	}
}

func TestWhereASignOutLeadsIsRememberedForItsBrowser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		cookies, err := h.Leave("/bye?x=1", "ja")
		if err != nil {
			t.Fatal(err)
		}
		b.take(cookies)
		if got := h.load(t, b); got.ID != s.ID {
			t.Error("the note disturbs the session")
		}
		late := b.copy()
		returnTo, lang, gone := h.replica(t).Left(b.header())
		b.take(gone)
		if returnTo != "/bye?x=1" || lang != "ja" || b.names() != cookieName {
			t.Errorf("leads to %q in %q and leaves %q", returnTo, lang, b.names())
		}
		if returnTo, lang, gone := h.Left(b.header()); returnTo+lang != "" || gone != nil {
			t.Errorf("without a note it leads to %q", returnTo)
		}
		spoilt := late.copy()
		spoilt.cookies[1] = pair(spoilt.cookies[1].Name, late.cookies[0].Value)
		if returnTo, lang, gone := h.Left(spoilt.header()); returnTo+lang != "" || len(gone) != 1 {
			t.Errorf("a note that is a session leads to %q, %v", returnTo, gone)
		}
		pass(session.PendingLife)
		if returnTo, lang, gone := h.Left(late.header()); returnTo+lang != "" || len(gone) != 1 {
			t.Errorf("an old note leads to %q, %v", returnTo, gone)
		}
	})
}
