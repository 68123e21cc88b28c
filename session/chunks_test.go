package session_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"vestibule/session"
)

// sized gives a session's cookies with an access token that costs n bytes sealed twice over: noise does not compress.
func sized(t testing.TB, h *house, b *browser, n int) []*http.Cookie {
	t.Helper()
	now := time.Now()
	_, cookies, err := h.Start(t.Context(), session.Tokens{AccessToken: part(noise(1, n)), Issued: now, Expires: now.Add(time.Hour)}, b.header(), "")
	if err != nil {
		t.Fatalf("%d bytes: %v", n, err)
	}
	return cookies
}

// A neighbour counted one chunk too few at an exact multiple of the chunk size: endless sign-in. Every size around every
// boundary is tried, so that the multiples are among them.
func TestEverySizeAroundChunkBoundariesComesBackWhole(t *testing.T) {
	h := newHouse(t, forgetful)
	last, steps := 1, 0
	for n := 2000; ; n++ {
		now := time.Now()
		token := part(noise(1, n))
		b := &browser{}
		_, cookies, err := h.Start(t.Context(), session.Tokens{AccessToken: token, Issued: now, Expires: now.Add(time.Hour)}, nil, "")
		if errors.Is(err, session.ErrTooLarge) {
			if last != 5 {
				t.Errorf("too large after %d chunks, want 5", last)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b.take(cookies)
		for _, c := range cookies {
			if got := len(c.String()); got > 4096 {
				t.Fatalf("%d bytes: cookie %s has %d bytes, browsers keep 4096", n, c.Name, got)
			}
		}
		if got := h.load(t, b).Tokens.AccessToken; got != token {
			t.Fatalf("%d bytes in %d cookies: another token came back", n, len(cookies))
		}
		if len(cookies) != last {
			last, steps = len(cookies), steps+1
			continue
		}
		if free := 4096 - len(cookies[len(cookies)-1].String()); free > 40 && len(cookies[len(cookies)-1].String()) > 100 {
			n += free/2 - 20 // nothing happens far from a boundary
		}
	}
	count(t, "changes of the number of chunks", steps, 4)
}

func TestGoingFromManyToOneClearsTheRest(t *testing.T) {
	h := newHouse(t, forgetful)
	b := &browser{}
	b.take(sized(t, h, b, 6000))
	if len(b.cookies) < 3 {
		t.Fatalf("%d cookies, want several", len(b.cookies))
	}
	cookies := sized(t, h, b, 3000)
	b.take(cookies)
	if got, want := b.names(), cookieName+" "+cookieName+".1"; got != want {
		t.Errorf("with two chunks the browser keeps %q, want %q", got, want)
	}
	b.take(sized(t, h, b, 100))
	if got := b.names(); got != cookieName {
		t.Errorf("with one cookie the browser keeps %q, want %q", got, cookieName)
	}
	h.load(t, b)
	b.take(sized(t, h, b, 3000))
	if got := len(h.load(t, b).Tokens.AccessToken); got != 4000 {
		t.Errorf("from one to many: a token of %d characters, want 4000", got)
	}
	b.take(h.Clear(b.header()))
	if got := b.names(); got != "" {
		t.Errorf("cleared, but the browser keeps %q", got)
	}
}

func TestASetOfChunksThatIsNotWholeIsNoSession(t *testing.T) {
	h := newHouse(t, forgetful)
	make3 := func() *browser {
		b := &browser{}
		b.take(sized(t, h, b, 6000))
		return b
	}
	other := make3()
	for name, spoil := range map[string]func(b *browser){
		"the first is missing":         func(b *browser) { b.drop(cookieName) },
		"a middle one is missing":      func(b *browser) { b.drop(cookieName + ".1") },
		"the last is missing":          func(b *browser) { b.drop(cookieName + ".2") },
		"only the first is left":       func(b *browser) { b.cookies = b.cookies[:1] },
		"one is another session's":     func(b *browser) { b.cookies[1] = other.cookies[1] },
		"the first is another's":       func(b *browser) { b.cookies[0] = other.cookies[0] },
		"two changed places":           func(b *browser) { swap(b.cookies[1], b.cookies[2]) },
		"one is empty":                 func(b *browser) { b.cookies[1] = pair(b.cookies[1].Name, "") },
		"one is cut":                   func(b *browser) { b.cookies[1] = pair(b.cookies[1].Name, b.cookies[1].Value[:50]) },
		"one is longer":                func(b *browser) { b.cookies[2] = pair(b.cookies[2].Name, b.cookies[2].Value+"AAAA") },
		"the count is one less":        func(b *browser) { recount(b, "2") },
		"the count is one more":        func(b *browser) { recount(b, "4") },
		"the count is one":             func(b *browser) { recount(b, "1") },
		"the count is nought":          func(b *browser) { recount(b, "0") },
		"the count is past the most":   func(b *browser) { recount(b, "6") },
		"the count is no digit":        func(b *browser) { recount(b, "x") },
		"the count is negative":        func(b *browser) { recount(b, "-") },
		"a foreign one stands before":  func(b *browser) { b.cookies = append([]*http.Cookie{pair(cookieName+".1", "AAAA")}, b.cookies...) },
		"a chunk is named with a zero": func(b *browser) { b.cookies[1] = pair(cookieName+".01", b.cookies[1].Value) },
	} {
		b := make3()
		h.load(t, b)
		spoil(b)
		s, err := h.Load(t.Context(), b.header())
		if s != nil || !errors.Is(err, session.ErrUnreadable) {
			t.Errorf("%s: %v, %v; want ErrUnreadable", name, s, err)
		}
		b.take(h.Clear(b.header()))
		if len(b.cookies) != 0 {
			t.Errorf("%s: after clearing %q is left", name, b.names())
		}
	}
}

// A neighbour put together every cookie that began with its name, so a foreign one of a longer name spoilt the session.
func TestStaleAndForeignNeighboursDoNotSpoilASession(t *testing.T) {
	h := newHouse(t, forgetful)
	s, b := h.signIn(t)
	for _, name := range []string{cookieName + ".1", cookieName + ".7", cookieName + "-x", cookieName + "x", cookieName + ".x", cookieName + ".p.deadbeef"} {
		b.cookies = append([]*http.Cookie{pair(name, strings.Repeat("A", 100))}, b.cookies...)
	}
	if got := h.load(t, b); got.ID != s.ID {
		t.Errorf("session %s, want %s", got.ID, s.ID)
	}
	h.write(t, b, s)
	want := strings.Join([]string{cookieName + ".p.deadbeef", cookieName + ".x", cookieName + "x", cookieName + "-x", cookieName}, " ")
	if got := b.names(); got != want {
		t.Errorf("after writing %q, want the stale chunks gone: %q", got, want)
	}
}

func pair(name, value string) *http.Cookie { return &http.Cookie{Name: name, Value: value} }

func swap(a, b *http.Cookie) { a.Value, b.Value = b.Value, a.Value }

func recount(b *browser, n string) { b.cookies[0] = pair(cookieName, n+b.cookies[0].Value[1:]) }
