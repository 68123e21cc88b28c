package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

// refusedCallback checks a page that says what happened: no session, no code exchanged, no redirect.
func refusedCallback(t *testing.T, b *browser, a answer, status int) {
	t.Helper()
	if a.status != status || a.location() != "" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("got %d %q %q, want %d as a page", a.status, a.location(), a.header.Get("Content-Type"), status)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Security-Policy") == "" {
		t.Error("the page lacks no-store or its policy")
	}
	if a.sets(b.s.cookie) != nil {
		t.Error("a session was started")
	}
}

func TestACallbackIsGoodOnceAndOnlyWhereItBegan(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	callback := b.atProvider(b.begin("/api/auth/sign-in"))
	pending := b.cookies()

	other := s.browser(t)
	refusedCallback(t, other, other.get(callback), http.StatusBadRequest)
	if got := s.provider.Stats().Code.Asked; got != 0 {
		t.Fatalf("another browser's callback asked the provider %d times, want never: the code would be spent", got)
	}
	if a := b.get(callback); a.status != http.StatusSeeOther {
		t.Fatalf("got %d, want 303", a.status)
	}
	in := b.cookies()
	refusedCallback(t, b, b.get(callback), http.StatusBadRequest)
	if b.cookies() != in {
		t.Error("going back to the callback changed the session")
	}
	refusedCallback(t, b, s.stranger(t).get(callback, pending), http.StatusBadRequest)
	if got := s.provider.Stats(); got.Code.Asked != 1 || got.Reuses != 0 {
		t.Errorf("got %+v, want one exchange and no reuse", got.Code)
	}
	b.token("")
}

// Two replicas share the mark that a state was used.
func TestACallbackIsGoodOnceAcrossReplicas(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	callback := b.atProvider(b.begin("/api/auth/sign-in"))
	pending := b.cookies()
	b.get(callback)
	other := s.replica(t, nil).stranger(t)
	u, err := url.Parse(callback)
	must(t, err)
	refusedCallback(t, other, other.get("/api/auth/sign-in-callback?"+u.RawQuery, pending), http.StatusBadRequest)
	if got := s.provider.Stats().Reuses; got != 0 {
		t.Errorf("the code was sent again, want the second use noticed before")
	}
}

func TestAnExpiredSignInOffersToTryAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	callback := b.atProvider(b.begin("/api/auth/sign-in"))
	s.clock.advance(10 * time.Minute)
	a := b.get(callback)
	refusedCallback(t, b, a, http.StatusBadRequest)
	if !strings.Contains(a.body, `href="/api/auth/sign-in"`) {
		t.Error("the page does not offer to sign in again")
	}
}

func TestMalformedCallbacksAreRefusedAndUseNothingUp(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.dev.SendIss = true })
	b := s.browser(t)
	callback := b.atProvider(b.begin("/api/auth/sign-in"))
	u, err := url.Parse(callback)
	must(t, err)
	state, code, iss := "state="+u.Query().Get("state"), "code="+u.Query().Get("code"), "iss="+url.QueryEscape(u.Query().Get("iss"))
	all := state + "&" + code + "&" + iss
	for name, query := range map[string]string{
		"nothing at all":              "",
		"no state":                    code + "&" + iss,
		"no code":                     state + "&" + iss,
		"code and error":              all + "&error=access_denied",
		"two states":                  all + "&" + state,
		"two states that differ":      all + "&state=other",
		"two codes":                   all + "&" + code,
		"two codes, one of them hers": all + "&code=hers",
		"two issuers":                 all + "&" + iss,
		"two errors":                  state + "&" + iss + "&error=a&error=b",
		"an unknown state":            strings.Replace(all, state, "state=AAAAAAAAAAAAAAAAAAAAAA", 1),
		"a state and a zero byte":     strings.Replace(all, state, state+"%00", 1),
		"an empty state":              strings.Replace(all, state, "state=", 1),
		"a query that is none":        all + "&%zz",
		"a semicolon":                 all + ";x=1",
		"a query without end":         all + "&pad=" + strings.Repeat("x", 9<<10),
	} {
		a := b.get("/api/auth/sign-in-callback?" + query)
		if a.status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", name, a.status)
		}
		refusedCallback(t, b, a, http.StatusBadRequest)
	}
	if got := s.provider.Stats().Code.Asked; got != 0 {
		t.Errorf("the provider was asked %d times, want never", got)
	}
	if a := b.get(callback); a.status != http.StatusSeeOther {
		t.Errorf("the good callback afterwards: got %d, want 303: what is malformed uses nothing up", a.status)
	}
}

// RFC 9207: mix-up of two providers.
func TestTheIssuerOfACallback(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		advertised bool
		lies       devidp.Lies
		status     int
	}{
		{"advertised and right", true, devidp.Lies{}, 303},
		{"advertised and missing", true, devidp.Lies{NoIss: true}, 400},
		{"advertised and wrong", true, devidp.Lies{WrongIss: true}, 400},
		{"not advertised and missing", false, devidp.Lies{}, 303},
		{"not advertised and wrong", false, devidp.Lies{WrongIss: true}, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) { o.dev.SendIss = row.advertised })
			b := s.browser(t)
			s.faults(t, devidp.Faults{Lies: row.lies})
			a := b.get(b.atProvider(b.begin("/api/auth/sign-in")))
			if a.status != row.status {
				t.Errorf("got %d, want %d", a.status, row.status)
			}
			if row.status == 400 && s.provider.Stats().Code.Asked != 0 {
				t.Error("the code was sent to our provider although another one answered")
			}
		})
	}
	t.Run("an error answer is held to it too", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, func(o *options) { o.dev.SendIss = true })
		b := s.browser(t)
		s.faults(t, devidp.Faults{AuthorizeError: "temporarily_unavailable", Lies: devidp.Lies{WrongIss: true}})
		refusedCallback(t, b, b.get(b.atProvider(b.begin("/api/auth/sign-in"))), http.StatusBadRequest)
	})
}

func TestAStateThatTheProviderAlteredIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	s.faults(t, devidp.Faults{Lies: devidp.Lies{WrongState: true}})
	refusedCallback(t, b, b.get(b.atProvider(b.begin("/api/auth/sign-in"))), http.StatusBadRequest)
}

func TestProviderErrorsBecomePagesThatOfferToTryAgain(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{
		"access_denied": 400, "invalid_scope": 400, "login_required": 400, "something_new": 400,
		"server_error": 502, "temporarily_unavailable": 503,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			b := s.browser(t)
			s.faults(t, devidp.Faults{AuthorizeError: code})
			callback := b.atProvider(b.begin("/api/auth/sign-in?returnTo=/cart"))
			a := b.get(callback + "&error_description=%3Cscript%3Ealert(1)%3C/script%3E%20call%20555-0100")
			refusedCallback(t, b, a, status)
			if strings.Contains(a.body, "555-0100") || strings.Contains(a.body, "<script") || strings.Contains(a.body, code) {
				t.Error("the page repeats what anybody may write into a link")
			}
			if !strings.Contains(a.body, `href="/api/auth/sign-in?returnTo=%2Fcart"`) {
				t.Error("the page does not offer to try again and keep the way back")
			}
			if (status == 503) != (a.header.Get("Retry-After") != "") {
				t.Errorf("Retry-After: got %q", a.header.Get("Retry-After"))
			}
			s.faults(t, devidp.Faults{})
			b.signIn()
		})
	}
}

func TestWhatTheTokenEndpointDoesAtTheExchange(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		fault  devidp.Fault
		status int
	}{
		{"the code is refused", devidp.Fault{OAuthError: "invalid_grant"}, 400},
		{"our secret is refused", devidp.Fault{OAuthError: "invalid_client"}, 502},
		{"throttled for long", devidp.Fault{Status: 429, RetryAfter: "60"}, 503},
		{"a server error", devidp.Fault{Status: 500}, 503},
		{"JSON cut short", devidp.Fault{Body: devidp.BodyMalformed}, 502},
		{"a page", devidp.Fault{Body: devidp.BodyHTML}, 502},
		{"nothing", devidp.Fault{Body: devidp.BodyEmpty}, 502},
		{"a flood", devidp.Fault{Body: devidp.BodyHuge}, 502},
		{"a lost answer", devidp.Fault{DropAfter: true}, 503},
		{"a token of another kind", devidp.Fault{RawBody: `{"access_token":"a","token_type":"DPoP","id_token":"x"}`}, 502},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			b := s.browser(t)
			s.faults(t, devidp.Faults{Token: row.fault})
			refusedCallback(t, b, b.get(b.atProvider(b.begin("/api/auth/sign-in"))), row.status)
			if got := s.provider.Stats().Code.Asked; got != 1 {
				t.Errorf("the code was sent %d times, want once", got)
			}
			b.get(tokenPath).wants(t, http.StatusUnauthorized, unauthorized)
		})
	}
}

func FuzzCallback(f *testing.F) {
	s := newServer(f, func(o *options) { quiet(o); o.dev.SendIss = true })
	handler := s.web.Handler()
	for _, seed := range []string{
		"", "state=STATE&code=x&iss=ISSUER", "state=STATE&error=access_denied&iss=ISSUER", "state=STATE&state=STATE&code=x",
		"state=STATE&code=x&code=y", "state=%00&code=%ff", "state=STATE&code=x&error=y", "code=x", "state=STATE&code=" + strings.Repeat("a", 9000),
		"state=STATE&code=x&iss=", "state=STATE&code=x&iss=ISSUER&iss=ISSUER", "state=STATE;code=x", "%zz", "state=STATE&error=%3Cscript%3E&iss=ISSUER",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		begin := httptest.NewRecorder()
		handler.ServeHTTP(begin, httptest.NewRequest(http.MethodGet, "/api/auth/sign-in", nil))
		u, err := url.Parse(begin.Header().Get("Location"))
		must(t, err)
		query = strings.ReplaceAll(query, "STATE", u.Query().Get("state"))
		query = strings.ReplaceAll(query, "ISSUER", url.QueryEscape(s.provider.Issuer()))

		r := httptest.NewRequest(http.MethodGet, "/api/auth/sign-in-callback", nil)
		r.URL.RawQuery = query
		for _, c := range begin.Result().Cookies() {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusBadRequest, http.StatusBadGateway, http.StatusServiceUnavailable:
		default:
			t.Fatalf("%q: got %d, want a refusal", query, w.Code)
		}
		for _, c := range w.Result().Cookies() {
			if c.Name == s.cookie {
				t.Fatalf("%q: touched the session cookie", query)
			}
		}
	})
}

// The provider judges max_age when the browser arrives there. Who then takes a while, at a page of the provider's for instance, has kept it.
func TestMaxAgeCountsFromWhereTheSignInBegan(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.idp.AuthorizeParams = map[string]string{"max_age": "0"} })
	b := s.browser(t)
	callback := b.atProvider(b.begin("/api/auth/sign-in"))
	s.clock.advance(4 * time.Minute)
	if a := b.get(callback); a.status != http.StatusSeeOther {
		t.Errorf("got %d, want 303: it was asked for and kept four minutes ago", a.status)
	}
}
