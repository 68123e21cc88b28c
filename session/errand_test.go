package session_test

import (
	"strings"
	"testing"
	"time"

	"vestibule/session"
)

func TestAPendingSignInRemembersWhatWasChosen(t *testing.T) {
	for name, e := range map[string]session.Errand{
		"nothing":              {ReturnTo: "/inbox"},
		"a language":           {ReturnTo: "/inbox", Lang: "pt-BR"},
		"an identity provider": {ReturnTo: "/inbox", IdentityProvider: "Google"},
		"both":                 {ReturnTo: "/inbox", Lang: "ja", IdentityProvider: "Google"},
		"both, and no place":   {Lang: "ja", IdentityProvider: "Google"},
		"as much as it may be": {
			ReturnTo: strings.Repeat("/", session.MaxReturnTo), Lang: strings.Repeat("l", session.MaxChoice), IdentityProvider: strings.Repeat("p", session.MaxChoice),
		},
	} {
		h := newHouse(t)
		b := &browser{}
		p, cookies, err := h.Begin(nil, e)
		if err != nil || p.Errand != e {
			t.Fatalf("%s: begun as %+v, %v", name, p.Errand, err)
		}
		b.take(cookies)
		got, _, err := h.replica(t).Take(t.Context(), b.header(), p.State)
		if err != nil || got.Errand != e {
			t.Errorf("%s: took %+v, %v; want %+v", name, got.Errand, err, e)
		}
	}
}

func TestAChoiceTooLongIsRefused(t *testing.T) {
	h, long := newHouse(t), strings.Repeat("x", session.MaxChoice+1)
	for _, e := range []session.Errand{{Lang: long}, {IdentityProvider: long}} {
		if _, cookies, err := h.Begin(nil, e); err == nil || cookies != nil {
			t.Errorf("%d cookies, %v; want an error", len(cookies), err)
		}
	}
	if cookies, err := h.Leave("/", long); err == nil || cookies != nil {
		t.Errorf("after a sign-out: %d cookies, %v; want an error", len(cookies), err)
	}
}

// A browser may be at the provider while the replicas are replaced. These are cookies as they were before choices were remembered.
func TestCookiesWithoutChoicesStayGood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const (
			state   = "GMA3At6NgChgEGfbggYKiQ"
			pending = "OTQ2Njg0ODAwfFpxRWlEZ1NFTXdyS3kxdWZVbXp6ZTVkWjZRV2QycXhwNFlVYkxmekZ3RmdYUUpxMDhXYzZmZUZDR2R1SnBjVm5WWXg4MGl5SW9QM1Z3UWJFZWhpdWdBPT18WK4GvGMHlcuQp5iRmpIB1R2xtOdwb_sekrD4v9ufF9E="
			note    = "OTQ2Njg0ODAwfFF5SmJSVnRhVFg2U1dENUtQV29tRUQ2MTloRk1VVW4zb2ZETWFGQk988em_eO9aDtjVUMSoK3S6D2LIkXzXyI0Dps6P1SyvG0w="
		)
		h := newHouse(t)
		if _, cookies, err := h.Begin(nil, session.Errand{ReturnTo: "/inbox?a=1"}); err != nil || len(cookies[0].Value) != len(pending) {
			t.Errorf("%v, %v: want a cookie that replicas of before can read, too", cookies, err)
		}
		pass(session.PendingLife - time.Second)
		p, _, err := h.Take(t.Context(), []string{cookieName + ".p.5655b9a3=" + pending}, state)
		if want := (session.Errand{ReturnTo: "/inbox?a=1"}); err != nil || p.Errand != want || p.Begun.IsZero() {
			t.Errorf("took %+v, %v; want %+v", p.Errand, err, want)
		}
		returnTo, lang, gone := h.Left([]string{cookieName + ".o=" + note})
		if returnTo != "/bye?x=1" || lang != "" || len(gone) != 1 {
			t.Errorf("leads to %q in %q, %v", returnTo, lang, gone)
		}
	})
}
