package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"vestibule/idp/devidp"
	"vestibule/machine"
)

func TestASecondRequestIsAnsweredFromTheCacheWithTheLifeThatIsLeft(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	first := c.ask("")
	token := first.machineToken(t)
	s.clock.advance(100 * time.Second)
	second := c.ask("")
	got, want := second.machineToken(t), machineToken{token.AccessToken, 3500, "Bearer"}
	if got != want || token.ExpiresIn != 3600 {
		t.Errorf("got %+v after %+v, want the same token with 100 s less", got, token)
	}
	if want := strings.Replace(first.body, "3600", "3500", 1); second.body != want {
		t.Errorf("got  %s\nwant %s: the provider's bytes but for the number", second.body, want)
	}
	s.wantsAsked(t, 1)
	for name, want := range map[string]string{
		"Cache-Status": "vestibule; hit; ttl=3500", "Age": "100", "Cache-Control": "no-store", "Pragma": "no-cache", "Vary": "",
		"Content-Type": "application/json;charset=UTF-8", "Content-Length": strconv.Itoa(len(second.body)), "X-Content-Type-Options": "nosniff",
	} {
		if got := second.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got, want := first.cache(), "vestibule; fwd=miss; fwd-status=200; stored; ttl=3600"; got != want {
		t.Errorf("Cache-Status of the first: got %q, want %q", got, want)
	}
	if got := first.header.Get("Set-Cookie"); got != "" {
		t.Errorf("a cookie for a service: %q", got)
	}
}

// The program is golang.org/x/oauth2's, unmodified; only the URL is another.
func TestTheStandardClientNoticesNoDifference(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.machine = &machine.Config{}
		o.dev.MachineScopes = []string{"api/read", "api/write"}
	})
	fetch := func(tokenURL, secret string) (string, time.Duration, error) {
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		config := clientcredentials.Config{ClientID: s.provider.ClientID(), ClientSecret: secret, TokenURL: tokenURL, Scopes: []string{"api/write", "api/read"}}
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: transport})
		token, err := config.Token(ctx)
		if err != nil {
			return "", 0, err
		}
		return token.AccessToken, time.Until(token.Expiry).Round(time.Minute), nil
	}
	origin := s.provider.Issuer()[:strings.LastIndex(s.provider.Issuer(), "/")]
	for name, endpoint := range map[string]string{"the provider": origin + machinePath, "Vestibule": s.url + machinePath} {
		access, left, err := fetch(endpoint, s.provider.ClientSecret())
		if err != nil || strings.Count(access, ".") != 2 || left != time.Hour {
			t.Errorf("%s: got %q for %s, %v, want a JWT for an hour", name, access, left, err)
		}
		if _, _, err := fetch(endpoint, "wrong"); err == nil || !strings.Contains(err.Error(), "invalid_client") {
			t.Errorf("%s, wrong secret: got %v, want invalid_client", name, err)
		}
	}
}

func TestCurlIsServed(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl here")
	}
	s := newServer(t, withMachines)
	for _, args := range [][]string{
		{"-u", s.provider.ClientID() + ":" + s.provider.ClientSecret(), "-d", "grant_type=client_credentials"},
		{"-d", "grant_type=client_credentials", "--data-urlencode", "client_id=" + s.provider.ClientID(), "--data-urlencode", "client_secret=" + s.provider.ClientSecret()},
	} {
		out, err := exec.CommandContext(t.Context(), curl, append(args, "-sS", "--fail", s.url+machinePath)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"access_token":"ey`) {
			t.Errorf("got %s, %v, want a token", out, err)
		}
	}
	s.wantsAsked(t, 2) // a credential that came another way is another credential
}

func TestTwoHundredColdCallersOnTwoReplicasCostOneRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.machine = &machine.Config{} })
	other := s.replica(t, nil)
	s.service(t).ask("", "scope", "vestibule/read") // discovery, on both
	other.service(t).ask("", "scope", "vestibule/read")
	before := s.asked()
	s.faults(t, devidp.Faults{Token: devidp.Fault{Latency: 300 * time.Millisecond}})
	var wait sync.WaitGroup
	tokens, errs := make(chan string, 200), make(chan error, 200)
	services := []*service{s.service(t), other.service(t)}
	for i := range 200 {
		wait.Go(func() {
			a, err := services[i%2].tryAsk("")
			if err != nil || a.status != http.StatusOK {
				errs <- fmt.Errorf("got %d %s, %v", a.status, a.body, err)
				return
			}
			tokens <- a.body
		})
	}
	wait.Wait()
	close(errs)
	close(tokens)
	for err := range errs {
		t.Error(err)
	}
	distinct := map[string]bool{}
	for token := range tokens {
		distinct[token] = true
	}
	if len(distinct) != 1 || s.asked()-before != 1 {
		t.Errorf("got %d tokens for %d requests to the provider, want one for one", len(distinct), s.asked()-before)
	}
}

func TestWhatIsAskedForIsWhatCountsNotHowItIsWritten(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	token := func(query string, params ...string) string {
		t.Helper()
		return c.ask(query, params...).machineToken(t).AccessToken
	}
	both := token("", "scope", "vestibule/read vestibule/write")
	for name, got := range map[string]string{
		"the other order":         token("", "scope", "vestibule/write vestibule/read"),
		"spaces and repetition":   token("", "scope", " vestibule/write  vestibule/read vestibule/read"),
		"in the query":            token("?scope=vestibule/read+vestibule/write"),
		"in both":                 token("?scope=vestibule/write+vestibule/read", "scope", "vestibule/read vestibule/write"),
		"the client's name again": token("", "scope", "vestibule/read vestibule/write", "client_id", c.id),
		"an empty parameter":      token("", "scope", "vestibule/read vestibule/write", "resource", ""),
	} {
		if got != both {
			t.Errorf("%s: another token, want the same", name)
		}
	}
	s.wantsAsked(t, 1)
	distinct := map[string]string{both: "both scopes"}
	for name, got := range map[string]string{
		"one scope":        token("", "scope", "vestibule/read"),
		"no scope":         token(""),
		"a resource":       token("", "scope", "vestibule/read vestibule/write", "resource", "https://a.example"),
		"another resource": token("", "scope", "vestibule/read vestibule/write", "resource", "https://b.example"),
		"metadata":         token("", "scope", "vestibule/read vestibule/write", "aws_client_metadata", `{"a":"b"}`),
	} {
		if same, found := distinct[got]; found {
			t.Errorf("%s: the token of %s, want its own", name, same)
		}
		distinct[got] = name
	}
	c.inForm = true
	if same, found := distinct[token("", "scope", "vestibule/read vestibule/write")]; found {
		t.Errorf("a secret in the form: the token of %s, want its own", same)
	}
}

func TestMalformedRequestsAreRefusedWithoutAskingTheProvider(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	const invalid = `{"error":"invalid_request"}`
	for name, a := range map[string]answer{
		"a secret in the URL":         c.ask("?client_secret=x"),
		"two ways of authentication":  c.ask("", "client_secret", c.secret),
		"two client ids":              c.ask("", "client_id", "another"),
		"a scope twice":               c.ask("", "scope", "a", "scope", "b"),
		"two different scopes":        c.ask("?scope=a", "scope", "b"),
		"two grant types":             c.ask("?grant_type=refresh_token"),
		"no grant type":               c.post(machinePath, url.Values{"scope": {"x"}}),
		"not a form":                  c.send(http.MethodPost, machinePath, `{}`, "Content-Type: application/json"),
		"no type":                     c.send(http.MethodPost, machinePath, "grant_type=client_credentials"),
		"a broken escape":             c.send(http.MethodPost, machinePath, "grant_type=%zz", "Content-Type: application/x-www-form-urlencoded"),
		"many parameters":             c.send(http.MethodPost, machinePath, strings.Repeat("a=b&", 200), "Content-Type: application/x-www-form-urlencoded"),
		"two Authorization headers":   c.post(machinePath, url.Values{"grant_type": {"client_credentials"}}, "Authorization: Basic YTpi", "Authorization: Basic YTpj"),
		"an empty grant type":         c.post(machinePath, url.Values{"grant_type": {""}}),
		"a repeated unknown argument": c.ask("", "x", "1", "x", "2"),
	} {
		if a.status != http.StatusBadRequest || a.body != invalid || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s %v, want 400 %s", name, a.status, a.body, a.header, invalid)
		}
	}
	tooLarge := c.ask("", "x", strings.Repeat("x", 64<<10))
	tooLarge.wants(t, http.StatusRequestEntityTooLarge, invalid)
	c.get(machinePath).wants(t, http.StatusMethodNotAllowed, invalid)
	s.wantsAsked(t, 0)
}

func TestAWrongSecretNeverSeesACachedTokenAndIsRememberedBriefly(t *testing.T) {
	t.Parallel()
	for _, inForm := range []bool{false, true} {
		t.Run(fmt.Sprintf("secret in the form: %v", inForm), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, withMachines)
			good := s.service(t)
			good.inForm = inForm
			good.ask("").machineToken(t)
			thief := s.service(t)
			thief.inForm, thief.secret = inForm, "wrong"
			const refused = `{"error":"invalid_client"}`
			thief.ask("").wants(t, http.StatusBadRequest, refused)
			s.wantsAsked(t, 2)
			for range 5 {
				a := thief.ask("", "scope", "vestibule/read") // another scope is the same wrong credential
				a.wants(t, http.StatusBadRequest, refused)
				if got, want := a.cache(), "vestibule; hit; detail=negative"; got != want {
					t.Errorf("Cache-Status: got %q, want %q", got, want)
				}
			}
			s.wantsAsked(t, 2)
			s.clock.advance(5 * time.Second)
			thief.ask("").wants(t, http.StatusBadRequest, refused)
			s.wantsAsked(t, 3)
			if got := good.ask("").cache(); !strings.Contains(got, "; hit; ttl=") {
				t.Errorf("the right secret afterwards: Cache-Status %q, want a hit", got)
			}
		})
	}
}

func TestRefusalsPassThroughByteForByteAndAreNotKept(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	c.ask("", "scope", "no/such").wants(t, http.StatusBadRequest, `{"error":"invalid_scope"}`)
	c.ask("", "scope", "no/such").wants(t, http.StatusBadRequest, `{"error":"invalid_scope"}`)
	s.wantsAsked(t, 2)
	s.faults(t, devidp.Faults{Token: devidp.Fault{Status: 403, RawBody: `{"odd" : [1,  2]}`, RetryAfter: "7"}})
	a := c.ask("")
	a.wants(t, 403, `{"odd" : [1,  2]}`)
	if got, want := a.header.Get("Retry-After")+" "+a.cache(), "7 vestibule; fwd=miss; fwd-status=403"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.faults(t, devidp.Faults{Token: devidp.Fault{RawBody: `{"access_token":"x","token_type":"Bearer"}`}})
	for range 2 {
		c.ask("").wants(t, http.StatusOK, `{"access_token":"x","token_type":"Bearer"}`) // no expires_in: nobody knows how long it may be kept
	}
	s.wantsAsked(t, 5)
	s.faults(t, devidp.Faults{})
	c.ask("").machineToken(t)
}

func TestOtherGrantsPassThroughUntouchedAndUncached(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	for range 2 {
		a := c.post(machinePath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_id": {c.id}, "client_secret": {c.secret}})
		a.wants(t, http.StatusBadRequest, `{"error":"invalid_grant"}`)
		if got, want := a.cache(), "vestibule; fwd=bypass; fwd-status=400"; got != want {
			t.Errorf("Cache-Status: got %q, want %q", got, want)
		}
	}
	if got := s.provider.Stats().Refresh.Asked; got != 2 {
		t.Errorf("the provider saw %d refreshes, want 2", got)
	}
	c.post(machinePath, url.Values{"grant_type": {"client_credentials"}}, "Authorization: Bearer x").wants(t, http.StatusBadRequest, `{"error":"invalid_client"}`)
	c.post(machinePath, url.Values{"grant_type": {"client_credentials"}, "client_assertion": {"x"}, "client_id": {c.id}, "client_secret": {c.secret}}, "DPoP: y").machineToken(t)
	if held := s.machines.Held(); held != 0 {
		t.Errorf("%d tokens are held, want none", held)
	}
}

func TestThrottlingAndOutagesArePassedOnOnlyWithoutALivingToken(t *testing.T) {
	t.Parallel()
	const throttle = `{"__type":"TooManyRequestsException","message":"Rate exceeded"}`
	for name, row := range map[string]struct {
		fault  devidp.Fault
		status int
		body   string
	}{
		"Cognito throttles": {devidp.Fault{Throttle400: true}, 400, throttle},
		"others throttle":   {devidp.Fault{Status: 429, RawBody: `{"error":"slow"}`, RetryAfter: "20"}, 429, `{"error":"slow"}`},
		"a server error":    {devidp.Fault{Status: 500, RawBody: `oops`}, 500, `oops`},
		"no answer":         {devidp.Fault{DropBefore: true}, 503, `{"error":"temporarily_unavailable"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, withMachines)
			c := s.service(t)
			token := c.ask("").machineToken(t).AccessToken
			s.faults(t, devidp.Faults{Token: row.fault})
			s.clock.advance(59 * time.Minute) // a minute is left, which is the margin
			s.clock.advance(time.Second)
			a := c.ask("")
			if got := a.machineToken(t); got.AccessToken != token || got.ExpiresIn != 59 || !strings.Contains(a.cache(), "detail=stale") {
				t.Errorf("got %+v, %q, want the old token, marked", got, a.cache())
			}
			if !strings.Contains(s.logs.String(), "the old one serves to its end") || strings.Contains(s.logs.String(), token) {
				t.Error("the log does not tell of it, or tells too much")
			}
			before := s.asked()
			if a := c.ask(""); a.machineToken(t).AccessToken != token || s.asked() != before {
				t.Errorf("a moment later: %q, and %d requests to the provider, want none", a.cache(), s.asked()-before)
			}
			s.clock.advance(time.Minute)
			a = c.ask("")
			a.wants(t, row.status, row.body)
			if strings.Contains(a.body, token) {
				t.Error("a token that is over was served")
			}
			s.faults(t, devidp.Faults{})
			s.clock.advance(time.Minute)
			c.ask("").machineToken(t)
		})
	}
}

func TestATokenInUseIsRenewedAheadAndNobodyWaits(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	first := c.ask("").machineToken(t).AccessToken
	s.clock.advance(44 * time.Minute)
	if a := c.ask(""); a.machineToken(t).AccessToken != first {
		t.Fatal("a token was renewed with more than a quarter of its life left")
	}
	s.wantsAsked(t, 1)
	s.clock.advance(5 * time.Minute) // eleven of sixty are left
	if a := c.ask(""); a.machineToken(t).AccessToken != first || !strings.Contains(a.cache(), "; hit;") {
		t.Fatalf("got %q, want the old token at once", a.cache())
	}
	must(t, s.machines.Drain(t.Context())) // the renewal runs behind the answer
	s.wantsAsked(t, 2)
	a := c.ask("")
	if got := a.machineToken(t); got.AccessToken == first || got.ExpiresIn != 3600 || !strings.Contains(a.cache(), "; hit;") {
		t.Errorf("got %d s, %q, want the new token from the cache", got.ExpiresIn, a.cache())
	}
	s.wantsAsked(t, 2)
}

func TestATokenThatIsWithdrawnIsGivenUpAtItsRenewal(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	c.ask("").machineToken(t)
	s.faults(t, devidp.Faults{Token: devidp.Fault{OAuthError: "invalid_client"}})
	s.clock.advance(50 * time.Minute)
	c.ask("").machineToken(t)
	must(t, s.machines.Drain(t.Context()))
	c.ask("").wants(t, http.StatusBadRequest, `{"error":"invalid_client"}`)
}

func TestMetricsOfMachineTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	c.ask("")
	c.ask("")
	c.ask("")
	c.ask("", "scope", "x")
	s.tells(t, "after four requests", map[string]string{
		`vestibule_machine_answers_total{cache="hit"}`: "2", `vestibule_machine_answers_total{cache="miss"}`: "1",
		`vestibule_machine_answers_total{cache="error"}`: "1", `vestibule_machine_tokens`: "1",
		`vestibule_machine_upstream_duration_seconds_count{outcome="ok"}`:      "1",
		`vestibule_machine_upstream_duration_seconds_count{outcome="refused"}`: "1",
	})
}
