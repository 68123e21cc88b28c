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

func TestStartRefusesEveryAddressButLoopback(t *testing.T) {
	for _, addr := range []string{
		":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "10.0.0.1:0", "169.254.169.254:0", "[2001:db8::1]:0", "no-such-host.invalid:0",
	} {
		s, err := devidp.Start(devidp.Config{Addr: addr, Keys: keys})
		if !errors.Is(err, devidp.ErrNotLoopback) {
			t.Errorf("%s: got %v, want ErrNotLoopback", addr, err)
		}
		if s != nil {
			t.Errorf("%s: it started", addr)
			_ = s.Close()
		}
	}
}

func TestStartTakesLocalhostAndNamesItInTheIssuer(t *testing.T) {
	b := start(t, func(c *devidp.Config) { c.Addr = "localhost:0" })
	if !strings.HasPrefix(b.s.Issuer(), "http://localhost:") || !strings.HasSuffix(b.s.Issuer(), "/us-east-1_Vestibule") {
		t.Errorf("issuer is %s", b.s.Issuer())
	}
	if got := b.signedIn(); got.ID == "" {
		t.Error("no ID token through localhost")
	}
}

func TestStartRefusesConfigurationsThatCannotWork(t *testing.T) {
	for fault, cfg := range map[string]devidp.Config{
		"a pool that is a path":           {PoolID: "../x"},
		"an address without a port":       {Addr: "127.0.0.1"},
		"a relative redirect URI":         {RedirectURIs: []string{"/callback"}},
		"a redirect URI with a fragment":  {RedirectURIs: []string{"http://localhost/#x"}},
		"a relative logout URI":           {LogoutURIs: []string{"out"}},
		"a negative life":                 {AccessLife: -time.Second},
		"a user without an address":       {Users: []devidp.User{{Password: "x"}}},
		"a user without a password":       {Users: []devidp.User{{Email: "a@example.com"}}},
		"two users with one address":      {Users: []devidp.User{{Email: "a@example.com", Password: "x"}, {Email: "A@example.com", Password: "y"}}},
		"a machine scope without a slash": {MachineScopes: []string{"openid"}},
		"more redirect URIs than allowed": {RedirectURIs: manyURIs(101)},
	} {
		cfg.Keys = keys
		if s, err := devidp.Start(cfg); !errors.Is(err, devidp.ErrConfig) || s != nil {
			t.Errorf("%s: got %v, want ErrConfig", fault, err)
		}
	}
}

func manyURIs(n int) []string {
	var list []string
	for i := range n {
		list = append(list, "http://localhost/"+strings.Repeat("x", i+1))
	}
	return list
}

// A public name that resolves to 127.0.0.1 must not make this provider that name's.
func TestRequestsForOtherHostNamesAreRefused(t *testing.T) {
	b := start(t)
	for host, want := range map[string]int{
		"attacker.example": http.StatusMisdirectedRequest, "attacker.example:80": http.StatusMisdirectedRequest,
		"192.0.2.1": http.StatusMisdirectedRequest, "localhost:1234": http.StatusOK, "[::1]:1": http.StatusOK, "127.0.0.2": http.StatusOK,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.s.Issuer()+"/.well-known/openid-configuration", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		if got := b.do(b.http, req); got.status != want {
			t.Errorf("%s: got %d, want %d", host, got.status, want)
		}
	}
}

func TestCredentialsLookLikeCognitos(t *testing.T) {
	b, other := start(t), start(t)
	if len(b.s.ClientID()) != 26 || len(b.s.ClientSecret()) != 51 || len(b.s.PublicClientID()) != 26 {
		t.Errorf("lengths %d, %d, %d; want 26, 51, 26", len(b.s.ClientID()), len(b.s.ClientSecret()), len(b.s.PublicClientID()))
	}
	if b.s.ClientID() == other.s.ClientID() || b.s.ClientSecret() == other.s.ClientSecret() {
		t.Error("two providers have the same credentials")
	}
}

func TestCloseEndsEverythingAndMayBeRepeated(t *testing.T) {
	b := start(t)
	for range 2 {
		if err := b.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if res, err := b.http.Get(b.s.URL() + "/error"); err == nil {
		res.Body.Close()
		t.Error("it still answers")
	}
}

func TestDiscoveryIsShapedLikeCognitos(t *testing.T) {
	b := start(t)
	var got map[string]any
	b.get(b.http, b.s.Issuer()+"/.well-known/openid-configuration").json(t, &got)
	want := map[string]any{
		"issuer": b.s.Issuer(), "authorization_endpoint": b.s.URL() + "/oauth2/authorize", "token_endpoint": b.s.URL() + "/oauth2/token",
		"end_session_endpoint": b.s.URL() + "/logout", "revocation_endpoint": b.s.URL() + "/oauth2/revoke",
		"userinfo_endpoint": b.s.URL() + "/oauth2/userInfo", "jwks_uri": b.s.Issuer() + "/.well-known/jwks.json",
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	for _, absent := range []string{
		"code_challenge_methods_supported", "grant_types_supported", "introspection_endpoint", "authorization_response_iss_parameter_supported",
	} {
		if _, ok := got[absent]; ok {
			t.Errorf("%s is advertised", absent)
		}
	}
	if b.s.Stats().Discovery != 1 {
		t.Errorf("counted %d", b.s.Stats().Discovery)
	}
}

func TestIssIsAdvertisedAndSentOnSuccessAndError(t *testing.T) {
	b := start(t, func(c *devidp.Config) { c.SendIss = true })
	var doc map[string]any
	b.get(b.http, b.s.Issuer()+"/.well-known/openid-configuration").json(t, &doc)
	if doc["authorization_response_iss_parameter_supported"] != true {
		t.Error("not advertised")
	}
	for _, changes := range [][]string{nil, {"scope", "nonsense"}} {
		at, err := b.s.SignIn(t.Context(), b.authorizeURL(changes...), b.s.Users()[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := query(t, at).Get("iss"); got != b.s.Issuer() {
			t.Errorf("%v: iss is %q", changes, got)
		}
	}
}

func TestMoreURIsMayBeAllowedLater(t *testing.T) {
	b := start(t)
	const later = "http://127.0.0.1:9/cb?a=b"
	if err := b.s.AllowRedirect(later, later); err != nil {
		t.Fatal(err)
	}
	at, err := b.s.SignIn(t.Context(), b.authorizeURL("redirect_uri", later), b.s.Users()[0])
	if err != nil || !strings.HasPrefix(at, later+"&code=") {
		t.Errorf("went to %s, %v", at, err)
	}
	if err := b.s.AllowLogout("nonsense"); !errors.Is(err, devidp.ErrConfig) {
		t.Errorf("got %v, want ErrConfig", err)
	}
}

func TestFormsAreBoundedAndUnambiguous(t *testing.T) {
	b := start(t)
	good := url.Values{"grant_type": {"client_credentials"}}
	huge := url.Values{"grant_type": {"client_credentials"}, "x": {strings.Repeat("x", 65<<10)}}
	twice := url.Values{"grant_type": {"client_credentials", "client_credentials"}}
	if got := b.post("/oauth2/token", good); got.status != http.StatusOK {
		t.Fatalf("the good form got %d %s", got.status, got.body)
	}
	b.post("/oauth2/token", huge).wantOAuth(t, http.StatusBadRequest, "invalid_request")
	b.post("/oauth2/token", twice).wantOAuth(t, http.StatusBadRequest, "invalid_request")

	asJSON := b.request("/oauth2/token", good)
	asJSON.SetBasicAuth(b.s.ClientID(), b.s.ClientSecret())
	asJSON.Header.Set("Content-Type", "application/json")
	b.do(b.http, asJSON).wantOAuth(t, http.StatusBadRequest, "invalid_request")

	if got := b.get(b.http, b.s.URL()+"/oauth2/token"); got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET got %d", got.status)
	}
}

func TestStartReturnsBeforeItsOwnKeysAreMade(t *testing.T) {
	b := start(t, func(c *devidp.Config) { c.Keys = nil })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.s.WaitReady(gone); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := b.s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.verify(b.signedIn().ID)
}
