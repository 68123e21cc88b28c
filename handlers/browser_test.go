package handlers_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"vestibule/idp/devidp"
)

// browser asks one server. It keeps cookies unless it is a stranger, and follows no redirect by itself.
type browser struct {
	t      testing.TB
	s      *server
	client *http.Client
}

// answer is one answer, read whole.
type answer struct {
	status int
	header http.Header
	body   string
	set    []*http.Cookie
}

func (s *server) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return s.with(t, jar)
}

// stranger brings no cookie but those that a request names.
func (s *server) stranger(t testing.TB) *browser {
	t.Helper()
	return s.with(t, nil)
}

func (s *server) with(t testing.TB, jar http.CookieJar) *browser {
	transport := &http.Transport{TLSClientConfig: s.tls, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections) // runs before the server's own clean-up, which would wait for unused connections
	return &browser{t: t, s: s, client: &http.Client{
		Jar: jar, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// at is the same browser, asking another server of the same host.
func (b *browser) at(s *server) *browser {
	c := *b
	c.s = s
	return &c
}

// get asks for a path below the public URL, or an absolute URL. Headers are written as "Name: value".
func (b *browser) get(target string, headers ...string) answer {
	b.t.Helper()
	return b.send(http.MethodGet, target, "", headers...)
}

func (b *browser) post(target string, form url.Values, headers ...string) answer {
	b.t.Helper()
	return b.send(http.MethodPost, target, form.Encode(), append(headers, "Content-Type: application/x-www-form-urlencoded")...)
}

func (b *browser) send(method, target, body string, headers ...string) answer {
	b.t.Helper()
	a, err := b.try(context.Background(), method, target, body, headers...)
	must(b.t, err)
	return a
}

// try is send for requests that may fail, and for other goroutines than the test's.
func (b *browser) try(ctx context.Context, method, target, body string, headers ...string) (answer, error) {
	if !strings.HasPrefix(target, "http") {
		target = b.s.url + target
	}
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	res, err := b.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: string(read), set: res.Cookies()}, err
}

// begin starts a sign-in and gives the authorization URL.
func (b *browser) begin(path string) string {
	b.t.Helper()
	a := b.get(path)
	if a.status != http.StatusFound {
		b.t.Fatalf("%s: got %d %s, want 302", path, a.status, a.body)
	}
	return a.location()
}

// atProvider signs in through the provider's own form and gives the callback URL.
func (b *browser) atProvider(authorizeURL string, users ...devidp.User) string {
	b.t.Helper()
	user := b.s.provider.Users()[0]
	if len(users) > 0 {
		user = users[0]
	}
	callback, err := b.s.provider.SignIn(b.t.Context(), authorizeURL, user)
	must(b.t, err)
	return callback
}

// signIn goes all the way and gives the answer of the callback.
func (b *browser) signIn(users ...devidp.User) answer {
	b.t.Helper()
	a := b.get(b.atProvider(b.begin("/api/auth/sign-in"), users...))
	if a.status != http.StatusSeeOther && a.status != http.StatusOK {
		b.t.Fatalf("callback: got %d %s, want the session's start", a.status, a.body)
	}
	return a
}

// cookies is what the browser would send now, as a header line.
func (b *browser) cookies() string {
	b.t.Helper()
	u, err := url.Parse(b.s.url)
	must(b.t, err)
	var all []string
	for _, c := range b.client.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return "Cookie: " + strings.Join(all, "; ")
}

// holdsSession reports whether there is a session cookie in the jar.
func (b *browser) holdsSession() bool { return strings.Contains(b.cookies(), b.s.cookie+"=") }

// tokenAnswer is what browser code reads.
type tokenAnswer struct {
	AccessToken string `json:"accessToken"`
	ExpiresAt   int64  `json:"expiresAt"`
	ExpiresIn   int64  `json:"expiresIn"`
	TokenType   string `json:"tokenType"`
	IDToken     string `json:"idToken"`
}

// token asks for a token and wants one.
func (b *browser) token(query string, headers ...string) tokenAnswer {
	b.t.Helper()
	return b.get("/api/cognito-token"+query, headers...).token(b.t)
}

func (a answer) token(t testing.TB) tokenAnswer {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("token: got %d %s, want 200", a.status, a.body)
	}
	var out tokenAnswer
	must(t, json.Unmarshal([]byte(a.body), &out))
	if out.AccessToken == "" {
		t.Fatal("token: no accessToken")
	}
	return out
}

func (a answer) location() string { return a.header.Get("Location") }

// cleared reports whether the answer deletes the named cookie.
func (a answer) cleared(name string) bool {
	for _, c := range a.set {
		if c.Name == name && c.MaxAge < 0 && c.Value == "" {
			return true
		}
	}
	return false
}

// sets gives the named cookie as the answer sets it, nil when it does not.
func (a answer) sets(name string) *http.Cookie {
	for _, c := range a.set {
		if c.Name == name && c.MaxAge >= 0 && c.Value != "" {
			return c
		}
	}
	return nil
}

// wants checks status and body of a refusal.
func (a answer) wants(t testing.TB, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("got %d %s, want %d %s", a.status, a.body, status, body)
	}
}
