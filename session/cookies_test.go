package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"vestibule/session"
)

func TestCookiesCarryTheirAttributesAndDeletionsRepeatThem(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*session.Config)
		want   string
	}{
		"https":        {func(*session.Config) {}, "; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
		"strict":       {func(c *session.Config) { c.SameSite = http.SameSiteStrictMode }, "; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict"},
		"http":         {func(c *session.Config) { c.Secure, c.CookieName = false, "vestibule" }, "; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"},
		"a short life": {func(c *session.Config) { c.MaxAge = 90 * time.Second }, "; Path=/; Max-Age=90; HttpOnly; Secure; SameSite=Lax"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t, c.change)
				b := &browser{}
				b.take(sized(t, h, b, 6000))
				for _, cookie := range b.cookies {
					if got := strings.TrimPrefix(cookie.String(), cookie.Name+"="+cookie.Value); got != c.want {
						t.Errorf("%s: %q, want %q", cookie.Name, got, c.want)
					}
				}
				gone := h.Clear(b.header())
				count(t, "deletions", len(gone), len(b.cookies))
				_, attributes, _ := strings.Cut(c.want, "HttpOnly")
				for _, cookie := range gone {
					want := cookie.Name + "=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly" + attributes
					if got := cookie.String(); got != want && !strings.Contains(got, "Max-Age=0; HttpOnly"+attributes) {
						t.Errorf("deletion %q, want %q", got, want)
					}
				}
			})
		})
	}
}

func TestMaxAgeIsWhatIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(c *session.Config) { c.MaxAge = time.Hour })
		s, b := h.signIn(t)
		pass(59 * time.Minute)
		if got := h.write(t, b, s)[0].MaxAge; got != 60 {
			t.Errorf("Max-Age %d, want 60", got)
		}
		pass(time.Minute)
		_, err := h.Cookies(s, b.header())
		ended(t, err, session.ReasonExpired)
	})
}

func TestClearWithoutCookiesDeletesNothing(t *testing.T) {
	h := newHouse(t)
	for _, header := range [][]string{nil, {""}, {"theme=dark"}, {"__Host-vestibuleX=1; x__Host-vestibule=2"}} {
		if got := h.Clear(header); len(got) != 0 {
			t.Errorf("%q: %v is set, want nothing", header, got)
		}
	}
}

func TestEveryKindOfGarbageIsUnreadableAndNothingMore(t *testing.T) {
	h := newHouse(t, forgetful)
	_, b := h.signIn(t)
	good := b.cookies[0].Value
	for name, value := range map[string]string{
		"empty":                       "",
		"one character":               "x",
		"a dot":                       ".",
		"only a count":                "3.",
		"a count of one":              "1." + good,
		"text":                        "hello",
		"base64 of nothing sealed":    part(noise(1, 2000)),
		"pipes":                       "fHx8fHx8",
		"a good date and nothing":     "MTc5MDAwMDAwMHx8",
		"cut by one":                  good[:len(good)-1],
		"cut to half":                 good[:len(good)/2],
		"longer by one":               good + "A",
		"twice":                       good + good,
		"a changed first character":   flip(good, 0),
		"a changed middle character":  flip(good, len(good)/2),
		"a changed last group":        flip(good, len(good)-4),
		"spaces inside":               good[:10] + " " + good[10:],
		"quoted":                      `"` + good + `"`,
		"bytes that are no UTF-8":     "\xff\xfe\x00",
		"a bomb of As":                strings.Repeat("A", 100_000),
		"many equals signs":           strings.Repeat("=", 4096),
		"percent encoded":             strings.ReplaceAll(good, "=", "%3D") + "%",
		"a JWT of an older product":   accessToken(),
		"a ticket of another product": "v2.X19Ib3N0.c2Vj",
	} {
		s, err := h.Load(t.Context(), []string{cookieName + "=" + value})
		if s != nil || !errors.Is(err, session.ErrUnreadable) {
			t.Errorf("%s: %v, %v; want ErrUnreadable", name, s, err)
		}
	}
}

func TestHeadersWithoutASessionHaveNone(t *testing.T) {
	h := newHouse(t)
	_, b := h.signIn(t)
	value := b.cookies[0].Value
	for _, line := range []string{
		"", ";", "=", ";;;===;;", "theme=dark", cookieName, cookieName + "; x=1", strings.ToLower(cookieName) + "=" + value,
		"x" + cookieName + "=" + value, cookieName + "x=" + value, cookieName + " =" + value, cookieName + ".x=" + value,
		cookieName + ".123=" + value, cookieName + ".p.00000000=" + value,
	} {
		if s, err := h.Load(t.Context(), []string{line}); s != nil || !errors.Is(err, session.ErrNone) {
			t.Errorf("%.40q: %v, %v; want ErrNone", line, s, err)
		}
	}
}

func TestASessionIsFoundWhereverItStandsInTheHeader(t *testing.T) {
	h := newHouse(t, forgetful)
	want, b := h.signIn(t)
	ours := cookieName + "=" + b.cookies[0].Value
	for name, header := range map[string][]string{
		"alone":                                         {ours},
		"among others":                                  {"a=1; " + ours + "; b=2"},
		"without spaces":                                {"a=1;" + ours + ";b=2"},
		"with tabs":                                     {"a=1;\t" + ours + " ;b=2"},
		"on a second line (HTTP/2)":                     {"a=1", ours, "b=2"},
		"behind broken ones":                            {";;=;x;" + ours},
		"behind a foreign one of the same name":         {cookieName + "=theirs; " + ours},
		"behind three foreign ones":                     {cookieName + "=; " + cookieName + "=3.x; " + cookieName + "=" + part(noise(1, 300)) + "; " + ours},
		"before a foreign one":                          {ours + "; " + cookieName + "=theirs"},
		"behind a foreign one that counts chunks":       {cookieName + "=2.theirs; " + cookieName + ".1=theirs; " + ours},
		"behind fifteen foreign ones":                   {strings.Repeat(cookieName+"=garbage; ", 15) + ours},
		"behind five whose chunks are there":            {strings.Repeat(cookieName+"=2.theirs; ", 5) + cookieName + ".1=theirs; " + ours},
		"behind more pending sign-ins than are read":    {repeated(cookieName+".p.%d=A; ", 300) + ours},
		"behind more chunks than are read":              {strings.Repeat(cookieName+".7=A; ", 300) + ours},
		"behind more of everything, on its own line":    {repeated(cookieName+".p.%d=A; ", 300), repeated(cookieName+".%d=A; ", 100), ours},
		"behind sixty cookies of other names like ours": {strings.Repeat(cookieName+"y=1; ", 100) + ours},
	} {
		s, err := h.Load(t.Context(), header)
		if err != nil || s.ID != want.ID {
			t.Errorf("%s: %v, %v; want the session", name, s, err)
		}
	}
}

// repeated is a format n times, with growing numbers.
func repeated(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// What stands before a session must not keep it from being deleted either.
func TestASessionBehindManyOtherCookiesIsCleared(t *testing.T) {
	h := newHouse(t)
	_, b := h.signIn(t)
	gone := h.Clear([]string{repeated(cookieName+".p.%d=A; ", 300) + b.header()[0]})
	if len(gone) != 1 || gone[0].Name != cookieName || gone[0].MaxAge >= 0 {
		t.Errorf("%v is set, want the session's deletion alone", gone)
	}
}

// Opening costs something, so how often a request may make us try is bounded.
func TestAHeaderOfManyForeignCookiesIsNotTriedForEver(t *testing.T) {
	h := newHouse(t, forgetful)
	_, b := h.signIn(t)
	var line strings.Builder
	for i := range 30 {
		fmt.Fprintf(&line, "%s=%d; ", cookieName, i)
	}
	if _, err := h.Load(t.Context(), []string{line.String() + b.header()[0]}); !errors.Is(err, session.ErrUnreadable) {
		t.Errorf("%v, want ErrUnreadable", err)
	}
}

func TestAValueIsGoodUnderItsOwnNameOnly(t *testing.T) {
	h := newHouse(t, forgetful)
	other := h.replica(t, func(c *session.Config) { c.CookieName = "__Host-other" })
	_, b := h.signIn(t)
	_, err := other.Load(t.Context(), []string{"__Host-other=" + b.cookies[0].Value})
	if !errors.Is(err, session.ErrUnreadable) {
		t.Errorf("a session under another name: %v, want ErrUnreadable", err)
	}
	_, pending, err := h.Begin(nil, session.Errand{ReturnTo: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Load(t.Context(), []string{cookieName + "=" + pending[0].Value}); !errors.Is(err, session.ErrUnreadable) {
		t.Errorf("a pending sign-in as a session: %v, want ErrUnreadable", err)
	}
}

func TestASessionOfAnotherRegistrationIsUnreadable(t *testing.T) {
	h := newHouse(t, forgetful)
	_, b := h.signIn(t)
	for name, change := range map[string]func(*session.Config){
		"another issuer": func(c *session.Config) { c.Issuer = "https://elsewhere.example" },
		"another client": func(c *session.Config) { c.ClientID = "another" },
		"another key":    func(c *session.Config) { c.Keys = &ring{keys: [][]byte{key(9)}} },
	} {
		other := h.replica(t, change, forgetful)
		if _, err := other.Load(t.Context(), b.header()); !errors.Is(err, session.ErrUnreadable) {
			t.Errorf("%s: %v, want ErrUnreadable", name, err)
		}
	}
}

func TestKeysAreTurnedWithoutSigningAnyoneOut(t *testing.T) {
	for name, change := range map[string]func(*session.Config){
		"remembered": func(*session.Config) {}, "not remembered": forgetful,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, change)
			s, old := h.signIn(t)
			h.load(t, old)
			h.ring.turn(key(2), key(1))
			if got := h.load(t, old); got.ID != s.ID {
				t.Fatal("the old key no longer opens")
			}
			b := old.copy()
			h.write(t, b, s)
			h.ring.turn(key(2))
			if got := h.load(t, b); got.ID != s.ID {
				t.Error("the new key did not seal")
			}
			if _, err := h.Load(t.Context(), old.header()); !errors.Is(err, session.ErrUnreadable) {
				t.Errorf("sealed under a removed key: %v, want ErrUnreadable", err)
			}
		})
	}
}

func TestARememberedCookieIsStillJudgedEveryTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(c *session.Config) { c.MaxAge = time.Hour })
		s, b := h.signIn(t)
		for range 3 {
			h.load(t, b)
		}
		count(t, "opened", h.seen("opened"), 2)
		count(t, "remembered", h.seen("remembered"), 1)
		for at := range len(b.cookies[0].Value) - 4 { // bits of the last group are padding
			spoilt := []string{cookieName + "=" + flip(b.cookies[0].Value, at)}
			if _, err := h.Load(t.Context(), spoilt); !errors.Is(err, session.ErrUnreadable) {
				t.Errorf("with character %d changed: %v, want ErrUnreadable", at, err)
			}
		}
		_, other := h.signIn(t)
		h.End(t.Context(), s)
		_, err := h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)
		h.load(t, other)
		pass(time.Hour)
		_, err = h.Load(t.Context(), other.header())
		ended(t, err, session.ReasonExpired)
	})
}

func TestAChangeOfKeysForgetsWhatWasRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		_, b := h.signIn(t)
		for range 3 {
			h.load(t, b)
		}
		count(t, "remembered", h.seen("remembered"), 1)
		h.ring.turn(key(2))
		if _, err := h.Load(t.Context(), b.header()); !errors.Is(err, session.ErrUnreadable) {
			t.Errorf("sealed under a removed key: %v, want ErrUnreadable", err)
		}
	})
}

// flip changes one character of base64 into another.
func flip(s string, at int) string {
	c := byte('A')
	if s[at] == c {
		c = 'B'
	}
	return s[:at] + string(c) + s[at+1:]
}
