package handlers_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

func TestSignOutEndsTheSessionEverywhere(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) { o.https = true })
			b := s.browser(t)
			b.signIn()
			old := b.cookies()

			a := b.send(method, "/api/auth/sign-out", "")
			want := s.provider.URL() + "/logout?client_id=" + s.provider.ClientID() + "&logout_uri=" + url.QueryEscape(s.url+"/api/auth/sign-out-callback")
			if a.status != http.StatusSeeOther || a.location() != want {
				t.Errorf("got %d %s\nwant 303 %s", a.status, a.location(), want)
			}
			if a.header.Get("Cache-Control") != "no-store" || !a.cleared(s.cookie) || b.holdsSession() {
				t.Error("the session cookie is not cleared, or the answer may be stored")
			}
			late := s.stranger(t).get(tokenPath, old)
			late.wants(t, http.StatusUnauthorized, unauthorized)
			if got := s.provider.Stats().Revoke; got.Asked != 1 || got.OK != 1 {
				t.Errorf("got %+v revocations, want the refresh token's", got)
			}
			s.replica(t, nil).stranger(t).get(tokenPath, old).wants(t, http.StatusUnauthorized, unauthorized)

			back := b.get(s.followLogout(t, a.location()))
			if back.status != http.StatusOK || !strings.Contains(back.body, `href="/api/auth/sign-in"`) {
				t.Errorf("sign-out callback: got %d, want the page that offers to sign in again", back.status)
			}
		})
	}
}

// followLogout goes through the provider's logout and gives where it leads.
func (s *server) followLogout(t *testing.T, location string) string {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(location)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusFound {
		t.Fatalf("the provider's logout: got %d, want 302", res.StatusCode)
	}
	return res.Header.Get("Location")
}

func TestSignOutLeadsWhereItWasTold(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*browser, string) answer{
		"in the query": func(b *browser, to string) answer {
			return b.get("/api/auth/sign-out?returnTo=" + url.QueryEscape(to))
		},
		"in the form": func(b *browser, to string) answer { return b.post("/api/auth/sign-out", url.Values{"returnTo": {to}}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, withListed)
			for to, want := range map[string]string{"/bye?a=b": "/bye?a=b", listed + "/bye": listed + "/bye", "//evil.example": ""} {
				b := s.browser(t)
				b.signIn()
				a := ask(b, to)
				back := b.get(s.followLogout(t, a.location()))
				if back.location() != want {
					t.Errorf("%s: got %d %q, want %q", to, back.status, back.location(), want)
				}
				if again := b.get("/api/auth/sign-out-callback"); again.location() != "" {
					t.Errorf("%s: the note leads a second time to %q", to, again.location())
				}
			}
		})
	}
}

func TestAnotherSiteCannotSignAnybodyOut(t *testing.T) {
	t.Parallel()
	s := newServer(t, withListed)
	b := s.browser(t)
	b.signIn()
	in := b.cookies()
	for _, row := range []struct {
		method  string
		headers []string
	}{
		{"GET", []string{"Sec-Fetch-Site: cross-site"}},
		{"GET", []string{"Sec-Fetch-Site: same-site"}},
		{"GET", []string{"Referer: https://evil.example/page"}},
		{"GET", []string{"Referer: " + s.origin + ".evil.example/"}},
		{"GET", []string{"Referer: https://user@app.example:444/"}},
		{"GET", []string{"Referer: %zz"}},
		{"GET", []string{"Origin: null"}},
		{"POST", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}},
		{"POST", []string{"Sec-Fetch-Site: same-site", "Origin: https://evil.example"}},
		{"POST", []string{"Origin: https://evil.example"}},
		{"POST", []string{"Origin: null"}},
		{"POST", []string{"Referer: https://evil.example/"}},
		{"POST", []string{"Sec-Fetch-Site: cross-site", "Origin: null"}},
	} {
		a := b.send(row.method, "/api/auth/sign-out?returnTo=/bye", "", row.headers...)
		if a.status != http.StatusOK || !strings.Contains(a.body, `method="post" action="/api/auth/sign-out"`) || !strings.Contains(a.body, `value="/bye"`) {
			t.Errorf("%s %q: got %d, want the page that asks", row.method, row.headers, a.status)
		}
		if !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s %q: the page that asks may be framed, and its button clicked unseen", row.method, row.headers)
		}
		if len(a.set) != 0 || b.cookies() != in {
			t.Errorf("%s %q: cookies were touched", row.method, row.headers)
		}
	}
	b.token("")
	if got := s.provider.Stats().Revoke.Asked; got != 0 {
		t.Errorf("got %d revocations, want none", got)
	}
}

func TestOwnAndListedPagesMaySignOut(t *testing.T) {
	t.Parallel()
	s := newServer(t, withListed)
	for _, row := range []struct {
		method  string
		headers []string
	}{
		{"GET", nil},
		{"GET", []string{"Sec-Fetch-Site: none"}},
		{"GET", []string{"Sec-Fetch-Site: same-origin", "Referer: " + s.origin + "/x"}},
		{"GET", []string{"Referer: " + listed + "/x"}},
		{"POST", []string{"Sec-Fetch-Site: same-origin", "Origin: " + s.origin}},
		{"POST", []string{"Sec-Fetch-Site: same-origin", "Origin: null"}}, // a page with Referrer-Policy: no-referrer
		{"POST", []string{"Sec-Fetch-Site: cross-site", "Origin: " + listed}},
		{"POST", nil},
	} {
		b := s.browser(t)
		b.signIn()
		if a := b.send(row.method, "/api/auth/sign-out", "", row.headers...); a.status != http.StatusSeeOther || b.holdsSession() {
			t.Errorf("%s %q: got %d, want the session ended", row.method, row.headers, a.status)
		}
	}
}

func TestAPrefetchedLinkSignsNobodyOut(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	for _, header := range []string{"Sec-Purpose: prefetch", "Purpose: prefetch", "Next-Router-Prefetch: 1"} {
		if a := b.get("/api/auth/sign-out", header, "Sec-Fetch-Site: same-origin"); a.status != http.StatusNoContent || len(a.set) != 0 {
			t.Errorf("%s: got %d, want 204 and nothing else", header, a.status)
		}
	}
	if a := b.send(http.MethodHead, "/api/auth/sign-out", ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: got %d, want 405", a.status)
	}
	b.token("")
}

func TestSigningOutTwiceOrWithoutASessionIsFine(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	a := b.post("/api/auth/sign-out", nil)
	// Nothing is known of the provider yet, so there is no logout to go to.
	if a.status != http.StatusSeeOther || a.location() != "/api/auth/sign-out-callback" {
		t.Errorf("without a session: got %d %q, want 303 to our own page", a.status, a.location())
	}
	b.signIn()
	for range 2 {
		if a := b.post("/api/auth/sign-out", nil); a.status != http.StatusSeeOther {
			t.Errorf("got %d, want 303", a.status)
		}
	}
	if got := s.provider.Stats().Revoke.Asked; got != 1 {
		t.Errorf("got %d revocations, want 1", got)
	}
}

// Signing out must work when the provider does not: the session is ours to end.
func TestSignOutWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.session.Timing.Revoke = 50 * time.Millisecond })
	b := s.browser(t)
	b.signIn()
	old := b.cookies()
	s.faults(t, devidp.Faults{Revoke: devidp.Fault{Latency: 200 * time.Millisecond, Status: 500}})
	if a := b.post("/api/auth/sign-out", nil); a.status != http.StatusSeeOther || b.holdsSession() {
		t.Errorf("got %d, want 303 and no session", a.status)
	}
	s.stranger(t).get(tokenPath, old).wants(t, http.StatusUnauthorized, unauthorized)
}

// spy remembers which refresh tokens were spent and which were revoked.
type spy struct {
	mu             sync.Mutex
	spent, revoked []string
}

// RoundTrip implements http.RoundTripper.
func (p *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body)) // a body that is no form holds neither
		p.mu.Lock()
		p.spent, p.revoked = append(p.spent, form["refresh_token"]...), append(p.revoked, form["token"]...)
		p.mu.Unlock()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// The newest refresh token is what must die, whichever cookie asks.
func TestSignOutByAStragglerRevokesTheNewestToken(t *testing.T) {
	t.Parallel()
	seen := &spy{}
	s := newServer(t, func(o *options) { o.idp.Transport = seen })
	b := s.browser(t)
	b.signIn()
	old := b.cookies()
	s.clock.advance(time.Hour)
	b.token("")
	newer := b.cookies()
	s.stranger(t).send(http.MethodPost, "/api/auth/sign-out", "", old)
	s.stranger(t).get(tokenPath, newer).wants(t, http.StatusUnauthorized, unauthorized)
	if got := s.provider.Stats(); got.Revoke.OK != 1 || got.Reuses != 0 {
		t.Errorf("got %+v revocations and %d reuses, want 1 and 0", got.Revoke, got.Reuses)
	}
	if len(seen.spent) != 1 || len(seen.revoked) != 1 || seen.spent[0] == seen.revoked[0] {
		t.Error("the refresh token that was spent already is the one that was revoked, want its successor")
	}
}

func TestSignOutRefusesABodyWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	a := b.post("/api/auth/sign-out", url.Values{"returnTo": {strings.Repeat("x", 64<<10)}})
	if a.status != http.StatusRequestEntityTooLarge || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("got %d, want 413 as a page", a.status)
	}
	if a := b.post("/api/auth/sign-out", url.Values{"returnTo": {strings.Repeat("x", 63<<10)}}); a.status != http.StatusSeeOther {
		t.Errorf("a body within the bound: got %d, want 303", a.status)
	}
	malformed := b.send(http.MethodPost, "/api/auth/sign-out", "returnTo=%zz", "Content-Type: application/x-www-form-urlencoded")
	if malformed.status != http.StatusBadRequest {
		t.Errorf("a form that is none: got %d, want 400", malformed.status)
	}
}

// formData is a body as fetch sends it for a FormData, with a file among its fields.
func formData(t *testing.T, fields url.Values, file int) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, values := range fields {
		for _, v := range values {
			must(t, w.WriteField(name, v))
		}
	}
	part, err := w.CreateFormFile("photo", "photo.png")
	must(t, err)
	_, err = part.Write(make([]byte, file))
	must(t, err)
	must(t, w.Close())
	return b.String(), "Content-Type: " + w.FormDataContentType()
}

// A script that posts the page's form sends it as multipart/form-data.
func TestSignOutHearsAScriptsForm(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b, other := s.browser(t), s.browser(t)
	b.signIn()
	other.signIn()
	body, kind := formData(t, url.Values{"everywhere": {"true"}, "returnTo": {"/bye"}}, 60<<10)
	a := b.send(http.MethodPost, "/api/auth/sign-out", body, kind)
	if a.status != http.StatusSeeOther || b.holdsSession() {
		t.Errorf("got %d, want 303 and no session", a.status)
	}
	other.alive("the person's other browser", false)
	if back := b.get(s.followLogout(t, a.location())); back.location() != "/bye" {
		t.Errorf("got %q, want the returnTo of the form", back.location())
	}
	b.signIn()
	body, kind = formData(t, nil, 64<<10)
	if a := b.send(http.MethodPost, "/api/auth/sign-out", body, kind); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a form over the bound: got %d, want 413", a.status)
	}
	b.alive("after a form over the bound", true)
}

// Who asks in a way that is not understood must not be told that it is done.
func TestSignOutRefusesABodyThatItCannotRead(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	for _, kind := range []string{
		"Content-Type: application/json", "Content-Type: text/plain;charset=UTF-8", "Content-Type: multipart/form-data",
		"Content-Type: multipart/mixed; boundary=x", "Content-Type: ;", "X-No-Content-Type: at all",
		"Content-Type: multipart/form-data; boundary=x",
	} {
		for _, target := range []string{"/api/auth/sign-out", "/api/auth/sign-out?everywhere=false&returnTo=/bye"} {
			a := b.send(http.MethodPost, target, `{"everywhere":true}`, kind)
			if a.status != http.StatusBadRequest || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || len(a.set) != 0 {
				t.Errorf("%s: got %d, want 400 as a page", kind, a.status)
			}
		}
	}
	b.alive("after all of them", true)
	for _, kind := range []string{"Content-Type: application/json", "Content-Type: multipart/form-data; boundary=x", "X-No-Content-Type: at all"} {
		if a := b.send(http.MethodPost, "/api/auth/sign-out", "", kind); a.status != http.StatusSeeOther || b.holdsSession() {
			t.Errorf("%s without a body: got %d, want 303 and no session", kind, a.status)
		}
		b.signIn()
	}
}

func TestTheLoginPageKnowsWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	if a := b.get("/login"); a.status != http.StatusOK || strings.Contains(a.body, "alice") || !strings.Contains(a.body, `href="/api/auth/sign-in"`) {
		t.Errorf("signed out: got %d, want the page that offers to sign in", a.status)
	}
	b.signIn()
	a := b.get("/login?returnTo=/orders")
	if !strings.Contains(a.body, "alice<wbr>@example.com") || !strings.Contains(a.body, `href="/orders"`) || !strings.Contains(a.body, `action="/api/auth/sign-out"`) {
		t.Errorf("signed in: the page does not say who, or offers neither the way on nor the sign-out:\n%s", a.body)
	}
	if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, s.provider.URL()) {
		t.Errorf("the policy %q stops the redirect to the provider's logout in Chromium", csp)
	}
	if got := b.get("/login?lang=ja").body; !strings.Contains(got, `lang="ja"`) {
		t.Error("?lang=ja is not heard")
	}
}
