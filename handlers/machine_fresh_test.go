package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

// askWith sends a request with headers of the caller's own.
func (c *service) askWith(headers ...string) answer {
	c.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.id}, "client_secret": {c.secret}}
	return c.send(http.MethodPost, machinePath, form.Encode(), append(headers, "Content-Type: application/x-www-form-urlencoded")...)
}

// RFC 9111, sections 5.2.1.1, 5.2.1.4 and 5.4: what a service says that was handed a token which its API refuses.
func TestAServiceThatBringsBackADeadTokenGetsAnother(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	last := c.askWith().machineToken(t).AccessToken
	for _, row := range []struct {
		name    string
		headers []string
		fresh   bool
	}{
		{"no-cache", []string{"Cache-Control: no-cache"}, true},
		{"in capitals, among others", []string{"Cache-Control: no-store , NO-CACHE,max-age=60"}, true},
		{"in a second line", []string{"Cache-Control: no-transform", "Cache-Control: no-cache"}, true},
		{"max-age=0", []string{"Cache-Control: max-age=0"}, true},
		{"in quotes", []string{`Cache-Control: Max-Age="0"`}, true},
		{"of old", []string{"Pragma: no-cache"}, true},
		{"another max-age", []string{"Cache-Control: max-age=30"}, false},
		{"no number", []string{"Cache-Control: max-age=, max-age"}, false},
		{"another directive", []string{"Cache-Control: no-cachet, x-no-cache, no-store"}, false},
		{"Pragma beside Cache-Control", []string{"Pragma: no-cache", "Cache-Control: no-transform"}, false},
		{"another pragma", []string{"Pragma: max-age=0"}, false},
	} {
		s.clock.advance(61 * time.Second)
		a := c.askWith(row.headers...)
		token := a.machineToken(t).AccessToken
		if got := token != last; got != row.fresh {
			t.Errorf("%s: another token: %v, want %v", row.name, got, row.fresh)
		}
		if want := "vestibule; fwd=request; fwd-status=200; stored; ttl=3600"; row.fresh && a.cache() != want {
			t.Errorf("%s: Cache-Status %q, want %q", row.name, a.cache(), want)
		}
		last = token
		if again := c.askWith(row.headers...); again.machineToken(t).AccessToken != token || !strings.HasPrefix(again.cache(), "vestibule; hit; ttl=") {
			t.Errorf("%s, again: %q, want the same token from the cache", row.name, again.cache())
		}
	}
	s.wantsAsked(t, 7)
}

func TestADeadTokenIsMarkedWhileTheProviderFails(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	old := c.askWith().machineToken(t).AccessToken
	s.faults(t, devidp.Faults{Token: devidp.Fault{Status: 503, RawBody: "down"}})
	s.clock.advance(2 * time.Minute)
	a := c.askWith("Cache-Control: no-cache")
	if want := "vestibule; fwd=request; fwd-status=503; ttl=3480; detail=stale"; a.machineToken(t).AccessToken != old || a.cache() != want || a.header.Get("Age") != "120" {
		t.Errorf("got %s, %q, Age %q, want the old token, %q", a.body, a.cache(), a.header.Get("Age"), want)
	}
}

// RFC 9111, section 5.1: Age says that the answer was not made for this request.
func TestAnAnswerThatWasMadeForThisRequestHasNoAge(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	for _, want := range []string{"", "0"} {
		a := c.ask("")
		got, told := a.header["Age"]
		if told != (want != "") || told && got[0] != want {
			t.Errorf("%s: Age %q, want %q", a.cache(), got, want)
		}
	}
}
