package session_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"vestibule/session"
)

// FuzzLoad: whatever stands in Cookie header lines, nothing panics and nothing that we did not seal is a session.
func FuzzLoad(f *testing.F) {
	h := newHouse(f)
	_, b := h.signIn(f)
	sealed := b.cookies[0].Value
	f.Add("", "")
	f.Add(cookieName+"=x", cookieName+".1=y")
	f.Add(cookieName+"=2."+sealed[:50]+"; "+cookieName+".1="+sealed[50:100], "")
	f.Add(cookieName+"=5.", cookieName+".1=;"+cookieName+".2=;"+cookieName+".3=;"+cookieName+".4=")
	f.Add(cookieName+"="+flip(sealed, 30), ";;=;"+cookieName)
	f.Add(cookieName+".99=x", cookieName+".=")
	f.Fuzz(func(t *testing.T, one, two string) {
		header := []string{one, two}
		s, err := h.Load(t.Context(), header)
		// Only the very text that was sealed opens (also in chunks), and the fuzzer cannot make another.
		if s != nil && !strings.Contains(one+two, sealed) {
			t.Fatalf("%q %q gave the session %v", one, two, s.ID)
		}
		if s == nil && !errors.Is(err, session.ErrNone) && !errors.Is(err, session.ErrUnreadable) {
			t.Fatalf("error %v", err)
		}
		for _, c := range h.Clear(header) {
			if c.MaxAge >= 0 || !strings.HasPrefix(c.Name, cookieName) {
				t.Fatalf("clearing sets %v", c)
			}
		}
		if len(h.Clear(header)) > 0 && errors.Is(err, session.ErrNone) {
			t.Fatal("there is something to clear, and yet nothing was brought")
		}
	})
}

// FuzzTokenRoundTrip: a token of any characters comes back as it was.
func FuzzTokenRoundTrip(f *testing.F) {
	h := newHouse(f, forgetful, frozen)
	f.Add("opaque", "a.b.c", `{"sub":"x"}`)
	f.Add("eyJhIjoxfQ.e30.AA", "....", "")
	f.Add("abc9", "AB\r\nCD", "\x00")
	f.Add("\xff", ".........", "null")
	now := h.config.Now()
	f.Fuzz(func(t *testing.T, access, refresh, claims string) {
		in := session.Tokens{AccessToken: access, RefreshToken: refresh, Issued: now, Expires: now.Add(time.Hour), Scope: claims, Subject: refresh, Claims: json.RawMessage(claims)}
		s, cookies, err := h.Start(t.Context(), in, nil, "")
		if errors.Is(err, session.ErrTooLarge) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b := &browser{cookies: cookies}
		for _, c := range cookies {
			if len(c.String()) > 4096 {
				t.Fatalf("%s has %d bytes", c.Name, len(c.String()))
			}
		}
		if got, want := wholeOf(h.load(t, b)), wholeOf(s); got != want {
			t.Fatalf("loaded\n%+v\nwant\n%+v", got, want)
		}
	})
}

// FuzzTake: no cookie and no state that was not begun here is taken, and beginning bears whatever the browser brings.
func FuzzTake(f *testing.F) {
	h := newHouse(f)
	b := &browser{}
	p := h.begin(f, b, "/")
	f.Add(b.header()[0], "x")
	f.Add("", p.State)
	f.Add(b.cookies[0].Name+"="+flip(b.cookies[0].Value, 12), p.State)
	f.Add(cookieName+".p.=; "+cookieName+".p.x", "")
	f.Fuzz(func(t *testing.T, header, state string) {
		if _, cookies, err := h.Begin([]string{header}, session.Errand{ReturnTo: "/"}); err != nil || len(cookies) == 0 || len(cookies) > 65 {
			t.Fatalf("begin: %d cookies, %v", len(cookies), err)
		}
		_, _, err := h.Take(t.Context(), []string{header}, state)
		if state == p.State && (err == nil || errors.Is(err, session.ErrPendingUsed)) {
			return // the fuzzer put both together
		}
		if !errors.Is(err, session.ErrPendingUnknown) {
			t.Fatalf("take: %v, want ErrPendingUnknown", err)
		}
	})
}
