package oidcprovider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vestibule/e2e/oidcprovider"
)

const (
	callback  = "http://localhost:1/callback"
	signedOut = "http://localhost:1/signed-out"
	verifier  = "a-verifier-of-at-least-forty-three-characters"
)

// The provider's own promises, on which the tests of ours stand.

func TestSignInEndsAtTheCallbackWithACode(t *testing.T) {
	p := start(t, oidcprovider.Config{})
	got := query(t, p.SignIn(t, authorizeURL(p, nil), "alice@example.com"))
	if got.Get("code") == "" || got.Get("state") != "s" || got.Get("iss") != p.Issuer {
		t.Errorf("callback got %v, want a code, state s and iss %s", got, p.Issuer)
	}
}

func TestSignInWithoutPKCEIsRefused(t *testing.T) {
	p := start(t, oidcprovider.Config{})
	got := query(t, p.SignIn(t, authorizeURL(p, url.Values{"code_challenge": nil, "code_challenge_method": nil}), "alice"))
	if got.Get("error") != "invalid_request" {
		t.Errorf("callback got %v, want error=invalid_request", got)
	}
}

func TestCancelEndsAtTheCallbackWithAccessDenied(t *testing.T) {
	p := start(t, oidcprovider.Config{})
	got := query(t, p.Browser(t).Cancel(t, authorizeURL(p, nil)))
	if got.Get("error") != "access_denied" {
		t.Errorf("callback got %v, want error=access_denied", got)
	}
}

func TestTokensCarryTheAccountAndTheAskedLife(t *testing.T) {
	p := start(t, oidcprovider.Config{AccessLife: 7 * time.Second, Resource: "https://api.example.com"})
	answer := exchange(t, p, p.SignIn(t, authorizeURL(p, nil), "alice"))
	if got, want := answer.ExpiresIn, 7; got != want {
		t.Errorf("expires_in got %d, want %d", got, want)
	}
	id := claims(t, answer.IDToken)
	if id["sub"] != "alice" || id["email"] != "alice@example.com" || id["name"] != "Alice" {
		t.Errorf("ID token got %v, want sub alice with e-mail and name", id)
	}
	if got, want := claims(t, answer.AccessToken)["aud"], "https://api.example.com"; got != want {
		t.Errorf("aud of the access token got %v, want %v", got, want)
	}
}

func TestARotatedRefreshTokenThatComesBackEndsTheGrant(t *testing.T) {
	p := start(t, oidcprovider.Config{})
	first := exchange(t, p, p.SignIn(t, authorizeURL(p, nil), "alice"))
	status, second := refresh(t, p, first.RefreshToken)
	if status != http.StatusOK || second.RefreshToken == "" || second.RefreshToken == first.RefreshToken {
		t.Fatalf("refresh got %d, want 200 and another refresh token", status)
	}
	if status, _ := refresh(t, p, first.RefreshToken); status != http.StatusBadRequest {
		t.Errorf("reuse got %d, want 400", status)
	}
	if status, _ := refresh(t, p, second.RefreshToken); status != http.StatusBadRequest {
		t.Errorf("the successor after a reuse got %d, want 400", status)
	}
	got := p.Counts(t)
	if got.Granted["authorization_code"] != 1 || got.Granted["refresh_token"] != 1 || len(got.Refused) != 2 || got.GrantsRevoked == 0 {
		t.Errorf("counts got %+v, want 1 code, 1 refresh, 2 refusals, a revoked grant", got)
	}
}

func TestRevocationIsCounted(t *testing.T) {
	p := start(t, oidcprovider.Config{})
	answer := exchange(t, p, p.SignIn(t, authorizeURL(p, nil), "alice"))
	status, _ := post(t, p, "/token/revocation", url.Values{"token": {answer.RefreshToken}})
	if got := p.Counts(t).Revocations; status != http.StatusOK || got != 1 {
		t.Errorf("revocation got %d and a count of %d, want 200 and 1", status, got)
	}
}

func TestSignOutReturnsToTheClientAndAsksForAPasswordAgain(t *testing.T) {
	p := start(t, oidcprovider.Config{})
	b := p.Browser(t)
	answer := exchange(t, p, b.SignIn(t, authorizeURL(p, nil), "alice"))
	end := p.Issuer + "/session/end?" + url.Values{"id_token_hint": {answer.IDToken}, "post_logout_redirect_uri": {signedOut}}.Encode()
	if got := b.SignOut(t, end); got != signedOut {
		t.Errorf("after logout got %s, want %s", got, signedOut)
	}
	if got := p.Counts(t).Logouts; got != 1 {
		t.Errorf("logouts got %d, want 1", got)
	}
	answer = exchange(t, p, b.SignIn(t, authorizeURL(p, nil), "bruno"))
	if got := claims(t, answer.IDToken)["sub"]; got != "bruno" {
		t.Errorf("the next sign-in got %v, want bruno", got)
	}
}

func TestAStoppedProviderDoesNotAnswer(t *testing.T) {
	p := start(t, oidcprovider.Config{})
	p.Stop()
	if res, err := http.Get(p.Issuer); err == nil {
		_ = res.Body.Close()
		t.Errorf("got status %d, want no connection", res.StatusCode)
	}
}

func start(t *testing.T, c oidcprovider.Config) *oidcprovider.Provider {
	t.Helper()
	c.RedirectURIs, c.PostLogoutRedirectURIs = []string{callback}, []string{signedOut}
	return oidcprovider.Start(t, c)
}

// authorizeURL is a complete authorization request; a parameter changed to nil is left out.
func authorizeURL(p *oidcprovider.Provider, changed url.Values) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {p.ClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid email profile"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for name, value := range changed {
		q[name] = value
	}
	return p.Issuer + "/auth?" + q.Encode()
}

type answer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	ExpiresIn    int    `json:"expires_in"`
}

func exchange(t *testing.T, p *oidcprovider.Provider, callbackURL string) answer {
	t.Helper()
	status, got := post(t, p, "/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {query(t, callbackURL).Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
	if status != http.StatusOK {
		t.Fatalf("exchange got %d, want 200", status)
	}
	return got
}

func refresh(t *testing.T, p *oidcprovider.Provider, token string) (int, answer) {
	t.Helper()
	return post(t, p, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func post(t *testing.T, p *oidcprovider.Provider, path string, form url.Values) (int, answer) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.Issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(p.ClientID, p.ClientSecret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var got answer
	if res.ContentLength != 0 && json.NewDecoder(res.Body).Decode(&got) != nil {
		t.Fatalf("%s: the answer is not JSON", path)
	}
	return res.StatusCode, got
}

func query(t *testing.T, callbackURL string) url.Values {
	t.Helper()
	u, err := url.Parse(callbackURL)
	if err != nil || !strings.HasPrefix(callbackURL, callback+"?") {
		t.Fatalf("got %s (%v), want the callback", callbackURL, err)
	}
	return u.Query()
}

func claims(t *testing.T, jwt string) map[string]any {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts, want a JWT", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	return got
}
