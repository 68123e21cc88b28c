package devidp_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

func TestAFaultAnswersInPlaceOfTheEndpointAndLeavesTheTokenUnspent(t *testing.T) {
	for what, c := range map[string]struct {
		fault  devidp.Fault
		status int
		body   string // a part of it
		length int    // at least
	}{
		"a gateway error":    {devidp.Fault{Status: 503, RetryAfter: "7"}, 503, "Service Unavailable", 1},
		"too many requests":  {devidp.Fault{Status: 429, RetryAfter: "1"}, 429, "", 1},
		"Cognito throttling": {devidp.Fault{Throttle400: true}, 400, `{"__type":"TooManyRequestsException","message":"Rate exceeded"}`, 1},
		"an OAuth error":     {devidp.Fault{OAuthError: "invalid_client"}, 400, `{"error":"invalid_client"}`, 1},
		"half a JSON":        {devidp.Fault{Body: devidp.BodyMalformed}, 200, `{"access_token": "ey`, 1},
		"a page":             {devidp.Fault{Body: devidp.BodyHTML}, 200, "<html>", 1},
		"nothing":            {devidp.Fault{Body: devidp.BodyEmpty}, 200, "", 0},
		"five megabytes":     {devidp.Fault{Body: devidp.BodyHuge}, 200, `{"padding":"aaaa`, 5 << 20},
		"a text of ours":     {devidp.Fault{Status: 201, RawBody: `{"x":1}`}, 201, `{"x":1}`, 7},
	} {
		t.Run(what, func(t *testing.T) {
			b := start(t)
			got := b.signedIn()
			c.fault.Times = 2
			b.faults(devidp.Faults{Token: c.fault})
			for range 2 {
				ans := b.refresh(got.Refresh)
				if ans.status != c.status || !strings.Contains(ans.body, c.body) || len(ans.body) < c.length {
					t.Errorf("got %d, %d bytes", ans.status, len(ans.body))
				}
				if ans.header.Get("Retry-After") != c.fault.RetryAfter {
					t.Errorf("Retry-After is %q", ans.header.Get("Retry-After"))
				}
			}
			b.refresh(got.Refresh).tokens(t)
			if st := b.s.Stats(); st.Refresh != (devidp.Calls{Asked: 3, OK: 1}) || st.Faults != 2 {
				t.Errorf("counted %+v", st)
			}
		})
	}
}

func TestADroppedConnectionBeforeLeavesTheTokenAndAfterSpendsIt(t *testing.T) {
	for what, c := range map[string]struct {
		fault devidp.Fault
		next  int
	}{
		"before": {devidp.Fault{DropBefore: true, Times: 1}, http.StatusOK},
		"after":  {devidp.Fault{DropAfter: true, Times: 1}, http.StatusBadRequest},
	} {
		b := start(t)
		got := b.signedIn()
		b.faults(devidp.Faults{Token: c.fault})
		if status := b.quietRefresh(got.Refresh); status != 0 {
			t.Errorf("%s: an answer came, %d", what, status)
		}
		if status := b.quietRefresh(got.Refresh); status != c.next {
			t.Errorf("%s: then got %d, want %d", what, status, c.next)
		}
	}
}

func TestFaultsHitTheEndpointTheyAreSetFor(t *testing.T) {
	b := start(t)
	bad := devidp.Fault{Status: 500}
	for name, c := range map[string]struct {
		faults devidp.Faults
		call   func() int
	}{
		"jwks":      {devidp.Faults{JWKS: bad}, func() int { return b.get(b.http, b.s.Issuer()+"/.well-known/jwks.json").status }},
		"discovery": {devidp.Faults{Discovery: bad}, func() int { return b.get(b.http, b.s.Issuer()+"/.well-known/openid-configuration").status }},
		"revoke":    {devidp.Faults{Revoke: bad}, func() int { return b.post("/oauth2/revoke", url.Values{"token": {"x"}}).status }},
	} {
		b.faults(c.faults)
		if got := c.call(); got != 500 {
			t.Errorf("%s: got %d", name, got)
		}
		b.signedIn() // the token endpoint is well
		b.faults(devidp.Faults{})
		if got := c.call(); got != 200 {
			t.Errorf("%s: after the reset got %d", name, got)
		}
	}
	if st := b.s.Stats(); st.JWKS != 2 || st.Discovery != 2 || st.Revoke != (devidp.Calls{Asked: 2, OK: 1}) {
		t.Errorf("counted %+v", st)
	}
}

// The latency passes in real time; nobody waits the minute out here, and a client that gives up must find
// its token unspent.
func TestAClientThatGivesUpOnASlowProviderWasNotServed(t *testing.T) {
	b := start(t)
	got := b.signedIn()
	b.faults(devidp.Faults{Token: devidp.Fault{Latency: time.Minute, Times: 1}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req := b.request("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}}).WithContext(ctx)
	req.SetBasicAuth(b.s.ClientID(), b.s.ClientSecret())
	if res, err := b.http.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, %v", res, err)
	}
	b.refresh(got.Refresh).tokens(t)
	b.faults(devidp.Faults{Token: devidp.Fault{Latency: time.Millisecond}})
	b.signedIn() // slow, but it answers
}

func TestAuthorizeErrorComesBackToTheClient(t *testing.T) {
	b := start(t)
	b.faults(devidp.Faults{AuthorizeError: "access_denied"})
	at, err := b.s.SignIn(t.Context(), b.authorizeURL(), b.s.Users()[0])
	if err != nil || query(t, at).Get("error") != "access_denied" || query(t, at).Get("state") != "the-state" {
		t.Errorf("went to %s, %v", at, err)
	}
}

func TestFaultsThatMakeNoSenseAreRefused(t *testing.T) {
	b := start(t)
	for what, f := range map[string]devidp.Faults{
		"two kinds of answer":          {Token: devidp.Fault{Status: 500, DropAfter: true}},
		"two bodies":                   {Token: devidp.Fault{Body: devidp.BodyHTML, RawBody: "x"}},
		"an unknown body":              {JWKS: devidp.Fault{Body: "blank"}},
		"an impossible status":         {Revoke: devidp.Fault{Status: 99}},
		"a latency of hours":           {Discovery: devidp.Fault{Latency: time.Hour}},
		"times without a fault":        {Token: devidp.Fault{Times: 1}},
		"negative times":               {Token: devidp.Fault{Status: 500, Times: -1}},
		"a header that breaks out":     {Token: devidp.Fault{Status: 500, RetryAfter: "1\r\nX: y"}},
		"Retry-After without answer":   {Token: devidp.Fault{RetryAfter: "1"}},
		"an error code that breaks":    {Token: devidp.Fault{OAuthError: `a"b`}},
		"an authorize error with room": {AuthorizeError: "a b"},
		"an unknown algorithm":         {Lies: devidp.Lies{Alg: "ES256"}},
		"an unknown target":            {Lies: devidp.Lies{WrongIssuer: true, In: "refresh"}},
		"times without a lie":          {Lies: devidp.Lies{Times: 2, OnRefreshOnly: true}},
		"a text that is too long":      {Token: devidp.Fault{RawBody: strings.Repeat("x", 65<<10)}},
	} {
		if err := b.s.SetFaults(f); !errors.Is(err, devidp.ErrFaults) {
			t.Errorf("%s: got %v, want ErrFaults", what, err)
		}
	}
	if b.s.Faults() != (devidp.Faults{}) {
		t.Error("a refused fault is in force")
	}
}

func (b *bench) postJSON(path, body string, header ...string) reply {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.s.URL()+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return b.do(b.http, req)
}

func TestTheDemoSwitchesFaultsOverHTTP(t *testing.T) {
	b := start(t)
	const asked = `{"token":{"latency":"1.5s","status":503,"times":2},"lies":{"alg":"none","wrongNonce":true}}`
	if got := b.postJSON("/devidp/faults", asked); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	want := devidp.Faults{
		Token: devidp.Fault{Latency: 1500 * time.Millisecond, Status: 503, Times: 2},
		Lies:  devidp.Lies{Alg: devidp.AlgNone, WrongNonce: true},
	}
	if got := b.s.Faults(); got != want {
		t.Errorf("got %+v", got)
	}
	var shown devidp.Faults
	b.get(b.http, b.s.URL()+"/devidp/faults").json(t, &shown)
	if shown != want {
		t.Errorf("shown %+v", shown)
	}
	for what, body := range map[string]string{
		"an unknown endpoint":    `{"tokens":{"status":500}}`,
		"an unknown field":       `{"token":{"statuss":500}}`,
		"a latency as a number":  `{"token":{"latency":5}}`,
		"a latency without unit": `{"token":{"latency":"5"}}`,
		"nothing":                ``,
		"two values":             `{}{}`,
		"no sense":               `{"token":{"status":1}}`,
		"more than it reads":     `{"token":{"rawBody":"` + strings.Repeat("x", 200<<10) + `"}}`,
	} {
		if got := b.postJSON("/devidp/faults", body); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", what, got.status, got.body)
		}
	}
	if b.s.Faults() != want {
		t.Error("a refused body changed the faults")
	}
}

func TestTheSwitchesAreClosedToOtherOriginsPages(t *testing.T) {
	b := start(t)
	for _, path := range []string{"/devidp/faults", "/devidp/roll-keys", "/devidp/revoke-user"} {
		for what, c := range map[string]struct {
			header []string
			refuse bool
		}{
			"another site":        {[]string{"Sec-Fetch-Site", "cross-site"}, true},
			"another port":        {[]string{"Sec-Fetch-Site", "same-site"}, true},
			"an old browser":      {[]string{"Origin", "http://localhost:8080"}, true},
			"a nameless origin":   {[]string{"Origin", "null"}, true},
			"a page of our own":   {[]string{"Sec-Fetch-Site", "same-origin", "Origin", b.s.URL()}, false},
			"a program":           {nil, false},
			"our own old browser": {[]string{"Origin", b.s.URL()}, false},
		} {
			got := b.postJSON(path, `{}`, c.header...)
			if refused := got.status == http.StatusForbidden; refused != c.refuse {
				t.Errorf("%s from %s: got %d", path, what, got.status)
			}
		}
	}
}

func TestKeysRollAndOldOnesVerifyUntilForgotten(t *testing.T) {
	b := start(t)
	before := b.signedIn()
	first := b.verify(before.Access)
	b.s.RollKeys()
	after := b.refresh(before.Refresh).tokens(t)
	if second := b.verify(after.Access); second == first {
		t.Error("the same key signs")
	}
	b.verify(before.Access)
	if n := b.published(); n != 4 {
		t.Errorf("%d keys are published, want 4", n)
	}
	b.s.ForgetOldKeys()
	if n := b.published(); n != 2 {
		t.Errorf("%d keys are published, want 2", n)
	}
	if got := b.userInfo(before.Access); got.status != http.StatusUnauthorized {
		t.Errorf("a token of a forgotten key got %d", got.status)
	}
	if got := b.postJSON("/devidp/roll-keys", `{"forgetOld":true}`); got.status != http.StatusNoContent || b.published() != 2 {
		t.Errorf("over HTTP got %d, %d keys", got.status, b.published())
	}
	if got := b.userInfo(after.Access); got.status != http.StatusUnauthorized {
		t.Errorf("after the roll over HTTP the former key still counts: %d", got.status)
	}
	b.verify(b.signedIn().ID)
}

func (b *bench) published() int {
	b.Helper()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	b.get(b.http, b.s.Issuer()+"/.well-known/jwks.json").json(b.T, &set)
	for _, k := range set.Keys {
		if k["kty"] != "RSA" || k["alg"] != "RS256" || k["use"] != "sig" || k["d"] != "" {
			b.Errorf("published %v", k)
		}
	}
	return len(set.Keys)
}

func TestAUserIsRevokedOverHTTPAndTheCountersAreShown(t *testing.T) {
	b := start(t)
	got := b.signedIn()
	for body, status := range map[string]int{
		`{"user":"alice@example.com"}`: http.StatusNoContent, `{"user":"nobody"}`: http.StatusNotFound, `{"name":"x"}`: http.StatusBadRequest,
	} {
		if ans := b.postJSON("/devidp/revoke-user", body); ans.status != status {
			t.Errorf("%s: got %d", body, ans.status)
		}
	}
	b.refresh(got.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	var shown devidp.Stats
	b.get(b.http, b.s.URL()+"/devidp/stats").json(t, &shown)
	if shown != b.s.Stats() || shown.Refresh.Refused != 1 || shown.SignIns != 1 {
		t.Errorf("shown %+v", shown)
	}
}
