package devidp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

const (
	callback  = "http://localhost:8080/api/auth/sign-in-callback"
	signedOut = "http://localhost:8080/api/auth/sign-out-callback"
	verifier  = "a-verifier-that-is-long-enough-for-RFC-7636-yes"
)

// keys are shared: the providers of these tests need to differ in everything but what is slow to make.
var keys = devidp.NewKeys()

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// bench is a provider and a client of it.
type bench struct {
	*testing.T
	s     *devidp.Server
	clock *clock
	http  *http.Client // follows no redirects, keeps no cookies
}

func start(t *testing.T, edits ...func(*devidp.Config)) *bench {
	t.Helper()
	c := &clock{t: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	cfg := devidp.Config{RedirectURIs: []string{callback}, LogoutURIs: []string{signedOut}, Keys: keys, Now: c.now}
	for _, edit := range edits {
		edit(&cfg)
	}
	s, err := devidp.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{T: t, s: s, clock: c, http: stopAtRedirects(nil)}
}

func stopAtRedirects(jar http.CookieJar) *http.Client {
	return &http.Client{
		Jar:           jar,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// browser is a client with cookies.
func (b *bench) browser() *http.Client {
	b.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	return stopAtRedirects(jar)
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// params are those of a good authorization request, with changes as name, value pairs; "-" takes one out.
func (b *bench) params(changes ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {b.s.ClientID()}, "redirect_uri": {callback}, "state": {"the-state"},
		"nonce": {"the-nonce"}, "scope": {"openid email profile"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			q.Del(changes[i])
		} else {
			q.Set(changes[i], changes[i+1])
		}
	}
	return q
}

func (b *bench) authorizeURL(changes ...string) string {
	return b.s.URL() + "/oauth2/authorize?" + b.params(changes...).Encode()
}

// code signs alice in and gives the code of the callback.
func (b *bench) code(changes ...string) string {
	b.Helper()
	at, err := b.s.SignIn(b.Context(), b.authorizeURL(changes...), b.s.Users()[0])
	if err != nil {
		b.Fatal(err)
	}
	q := query(b.T, at)
	if q.Get("code") == "" {
		b.Fatalf("the callback has no code: %s", at)
	}
	return q.Get("code")
}

func query(t *testing.T, raw string) url.Values {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// reply is what an endpoint answered.
type reply struct {
	status int
	header http.Header
	body   string
}

func (b *bench) do(c *http.Client, req *http.Request) reply {
	b.Helper()
	res, err := c.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(body)}
}

func (b *bench) get(c *http.Client, raw string) reply {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, raw, nil)
	if err != nil {
		b.Fatal(err)
	}
	return b.do(c, req)
}

func (b *bench) request(path string, form url.Values) *http.Request {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.s.URL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// post sends a form as the confidential client.
func (b *bench) post(path string, form url.Values) reply {
	b.Helper()
	req := b.request(path, form)
	req.SetBasicAuth(b.s.ClientID(), b.s.ClientSecret())
	return b.do(b.http, req)
}

func (b *bench) exchange(code string) reply {
	b.Helper()
	return b.post("/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
}

func (b *bench) refresh(token string) reply {
	b.Helper()
	return b.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

type tokens struct {
	ID        string `json:"id_token"`
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn int    `json:"expires_in"`
	Type      string `json:"token_type"`
}

// tokens reads a success.
func (r reply) tokens(t *testing.T) tokens {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	var got tokens
	r.json(t, &got)
	return got
}

func (r reply) json(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), into); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
}

// wantOAuth demands the exact error answer: nothing but the code, as Cognito answers.
func (r reply) wantOAuth(t *testing.T, status int, code string) {
	t.Helper()
	if want := `{"error":"` + code + `"}`; r.status != status || r.body != want {
		t.Errorf("got %d %s, want %d %s", r.status, r.body, status, want)
	}
	if got := r.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
}

// signedIn is the tokens of a fresh sign-in of alice.
func (b *bench) signedIn(changes ...string) tokens {
	b.Helper()
	return b.exchange(b.code(changes...)).tokens(b.T)
}

// part decodes the header (0) or the payload (1) of a JWT.
func part(t *testing.T, token string, n int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts in %q", len(parts), token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (b *bench) faults(f devidp.Faults) {
	b.Helper()
	if err := b.s.SetFaults(f); err != nil {
		b.Fatal(err)
	}
}
