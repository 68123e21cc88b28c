package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// leadsTo takes a returnTo through a sign-out, which needs no provider: what the sign-out callback redirects to is what a
// browser would follow. A page instead of a redirect means "/".
func leadsTo(t testing.TB, h http.Handler, returnTo string) string {
	t.Helper()
	out := httptest.NewRecorder()
	h.ServeHTTP(out, httptest.NewRequest(http.MethodGet, "/api/auth/sign-out?returnTo="+url.QueryEscape(returnTo), nil))
	if out.Code != http.StatusSeeOther {
		t.Fatalf("sign-out to %q: got %d, want 303", returnTo, out.Code)
	}
	back := httptest.NewRequest(http.MethodGet, "/api/auth/sign-out-callback", nil)
	for _, c := range out.Result().Cookies() {
		back.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, back)
	switch w.Code {
	case http.StatusOK:
		return "/"
	case http.StatusSeeOther:
		return w.Header().Get("Location")
	}
	t.Fatalf("sign-out callback for %q: got %d, want 303 or a page", returnTo, w.Code)
	return ""
}

// refusedTargets lead elsewhere in some browser, or could on some way there.
func refusedTargets() map[string]string {
	return map[string]string{
		"":                                         "empty",
		"//evil.example":                           "no scheme",
		"///evil.example":                          "three slashes",
		"////evil.example":                         "four slashes",
		`/\evil.example`:                           "a backslash is a slash to browsers",
		`\\evil.example`:                           "two of them",
		`\/evil.example`:                           "backslash first",
		`/path\..\..\evil.example`:                 "a backslash further on",
		"/%5cevil.example":                         "an encoded backslash",
		"/%5Cevil.example":                         "in capitals",
		"/%255cevil.example":                       "encoded twice",
		"/%2f%2fevil.example":                      "encoded slashes",
		"/%2fevil.example":                         "one encoded slash",
		"/%252fevil.example":                       "encoded twice",
		"/%25252fevil.example":                     "three times",
		"%2f%2fevil.example":                       "encoded from the start",
		"/\t/evil.example":                         "browsers drop tabs",
		"/\n/evil.example":                         "and newlines",
		"/\r/evil.example":                         "and carriage returns",
		"\t//evil.example":                         "also in front",
		" //evil.example":                          "and spaces in front",
		"/%09/evil.example":                        "an encoded tab",
		"/%0a/evil.example":                        "an encoded newline",
		"/%0d%0aSet-Cookie:%20a=b":                 "a header",
		"/a\r\nSet-Cookie: a=b":                    "a header, bare",
		"/\x00":                                    "a zero byte",
		"/%00":                                     "encoded",
		"/a\x7f":                                   "DEL",
		"/a\u0085b":                                "a C1 control",
		"/a\u2028b":                                "a line separator",
		"\ufeff//evil.example":                     "a byte order mark",
		"/\u3000/evil.example":                     "a full-width space",
		"/\uff0fevil.example":                      "a full-width slash",
		"\uff0f\uff0fevil.example":                 "two of them",
		"/\uff3cevil.example":                      "a full-width backslash",
		"/.//evil.example":                         "unfolds to two slashes",
		"/..//evil.example":                        "so does this",
		"/a/..//evil.example":                      "and this",
		"/%2e//evil.example":                       "browsers unfold encoded dots",
		"/a/%2e%2e//evil.example":                  "two of them",
		"/a/.%2E//evil.example":                    "and half of them",
		"/%252e%252e//evil.example":                "encoded twice",
		"https://evil.example":                     "another origin",
		"HTTPS://EVIL.EXAMPLE/":                    "in capitals",
		"https:evil.example":                       "without slashes",
		"https:/evil.example":                      "with one",
		"https:///evil.example":                    "with three",
		`https:\\evil.example`:                     "with backslashes",
		"http://app.example/":                      "a listed host without TLS",
		"https://app.example:8443/":                "a listed host at another port",
		"https://app.example.evil.example/":        "a listed origin in front",
		"https://evil.example/https://app.example": "or behind",
		"https://evil.example?https://app.example": "in the query",
		"https://evil.example#@app.example":        "in the fragment",
		"https://user@app.example/":                "a user",
		"https://app.example@evil.example/":        "a listed origin as the user",
		"https://app.example:443@evil.example/":    "with a password",
		"https://app.example%40evil.example/":      "with an encoded at",
		"https://app.example%2eevil.example/":      "with an encoded dot",
		"https://app.example\\@evil.example/":      "with a backslash",
		"https://app.example:443.evil.example/":    "a port that is none",
		"https://app.example:99999/":               "a port out of range",
		"https://[::1]/":                           "IPv6",
		"https://[::ffff:127.0.0.1]/":              "IPv4 in IPv6",
		"https://[fe80::1%25eth0]/":                "with a zone",
		"https://2130706433/":                      "an address as one number",
		"https://0x7f.1/":                          "in hexadecimal",
		"https://127.1/":                           "in short",
		"https://b\u00fccher.example/":             "an international name that is listed at another port",
		"https://\uff45vil.example/":               "full-width letters",
		"https://app\u3002evil.example/":           "an ideographic full stop",
		"https://\u0430pp.example/":                "a Cyrillic a",
		"https:// app.example/":                    "a space",
		"https://app.example//evil.example":        "two slashes in the path",
		"javascript:alert(1)":                      "a script",
		"JaVaScRiPt:alert(1)":                      "in capitals",
		"java\nscript:alert(1)":                    "with a newline",
		"javascript://app.example/%0aalert(1)":     "dressed as a URL",
		"data:text/html,x":                         "data",
		"vbscript:x":                               "another script",
		"file:///etc/passwd":                       "a file",
		"ftp://app.example/":                       "another scheme of a listed host",
		"blob:https://app.example/1":               "a blob",
		"about:blank":                              "about",
		"mailto:a@app.example":                     "mail",
		"evil.example":                             "a relative path",
		"./a":                                      "with a dot",
		"../a":                                     "with two",
		"?a=b":                                     "a query alone",
		"#a":                                       "a fragment alone",
		"/api/auth/sign-out":                       "our own sign-out",
		"/api/auth/sign-in?returnTo=/":             "our own sign-in",
		"/api/auth":                                "their parent",
		"/api/auth/":                               "with a slash",
		"/api//auth/sign-out":                      "with a double slash",
		"/api/./auth/sign-out":                     "with a dot",
		"/x/../api/auth/sign-out":                  "with two",
		"/api/%61uth/sign-out":                     "encoded",
		"/api/auth/sign-out/":                      "with a closing slash",
		"https://app.example/api/auth/sign-out":    "of a listed origin",
		"/a\xff":                                   "not UTF-8",
		"/%zz":                                     "not an encoding",
		"/" + strings.Repeat("a", 1024):            "too long",
		"/" + strings.Repeat("\u00e9", 500):        "too long once it is escaped",
	}
}

func TestAReturnToThatIsNotAllowedBecomesTheRoot(t *testing.T) {
	t.Parallel()
	s := newServer(t, withListed)
	for returnTo, why := range refusedTargets() {
		if got := leadsTo(t, s.web.Handler(), returnTo); got != "/" {
			t.Errorf("%s: %q leads to %q, want /", why, returnTo, got)
		}
	}
}

func TestAReturnToThatIsAllowedIsFollowed(t *testing.T) {
	t.Parallel()
	s := newServer(t, withListed)
	for returnTo, want := range map[string]string{
		"/orders":                              "/orders",
		"/orders?page=2&a=b%20c#x":             "/orders?page=2&a=b%20c#x",
		"/a/b/":                                "/a/b/",
		"/a//b":                                "/a//b",
		"/a/../b":                              "/a/../b",
		"/caf\u00e9?q=caf\u00e9":               "/caf%C3%A9?q=caf%C3%A9",
		"/a?to=//evil.example":                 "/a?to=//evil.example",
		"/a?b=https://evil.example":            "/a?b=https://evil.example",
		"/a%20b":                               "/a%20b",
		"/a%2Fb":                               "/a%2Fb",
		"/a:b@c":                               "/a:b@c",
		"/api/authors":                         "/api/authors",
		"/API/AUTH/x":                          "/API/AUTH/x",
		listed:                                 listed + "/",
		listed + "/":                           listed + "/",
		"HTTPS://APP.EXAMPLE/A?b#c":            listed + "/A?b#c",
		listed + ":443/a":                      listed + "/a",
		"https://b\u00fccher.example:8443/a":   "https://xn--bcher-kva.example:8443/a",
		"https://xn--bcher-kva.example:8443/a": "https://xn--bcher-kva.example:8443/a",
		s.origin + "/a":                        s.origin + "/a",
	} {
		if got := leadsTo(t, s.web.Handler(), returnTo); got != want {
			t.Errorf("%q leads to %q, want %q", returnTo, got, want)
		}
	}
}

// The sign-in judges by the same rule, and so do the pages that carry a returnTo on.
func TestSignInAndLoginPageJudgeTheSame(t *testing.T) {
	t.Parallel()
	s := newServer(t, withListed)
	b := s.browser(t)
	for _, returnTo := range []string{"//evil.example", `/\evil.example`, "/%2f%2fevil.example", "https://app.example@evil.example/", "javascript:alert(1)", "/api/auth/sign-out"} {
		query := "?returnTo=" + url.QueryEscape(returnTo)
		if got := b.get(b.atProvider(b.begin("/api/auth/sign-in" + query))).location(); got != "/" {
			t.Errorf("sign-in: %q leads to %q, want /", returnTo, got)
		}
		if page := s.stranger(t).get("/login" + query); strings.Contains(page.body, "evil") || strings.Contains(page.body, "javascript:") || strings.Contains(page.body, "sign-out") {
			t.Errorf("/login carries %q on", returnTo)
		}
	}
	if got := b.get(b.atProvider(b.begin("/api/auth/sign-in?returnTo=" + url.QueryEscape(listed+"/a")))).location(); got != listed+"/a" {
		t.Errorf("a listed origin: got %q", got)
	}
	if page := s.stranger(t).get("/login?returnTo=/orders"); !strings.Contains(page.body, `href="/api/auth/sign-in?returnTo=%2Forders"`) {
		t.Error("/login does not carry the way back on")
	}
}

func FuzzReturnTo(f *testing.F) {
	s := newServer(f, func(o *options) { withListed(o); quiet(o) })
	for seed := range refusedTargets() {
		f.Add(seed)
	}
	for _, seed := range []string{"/a", listed + "/a", s.origin, "/a?b#c", "/caf\u00e9"} {
		f.Add(seed)
	}
	allowed := map[string]bool{listed: true, "https://xn--bcher-kva.example:8443": true, s.origin: true}
	f.Fuzz(func(t *testing.T, returnTo string) {
		got := leadsTo(t, s.web.Handler(), returnTo)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
			t.Fatalf("%q leads to %q, which is not plain ASCII", returnTo, got)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatalf("%q leads to %q: %v", returnTo, got, err)
		}
		switch {
		case got == "/":
		case got[0] == '/':
			if len(got) > 1 && (got[1] == '/' || got[1] == '\\') {
				t.Fatalf("%q leads to %q, another host", returnTo, got)
			}
		case !allowed[u.Scheme+"://"+u.Host] || u.User != nil:
			t.Fatalf("%q leads to %q, an origin that is not listed", returnTo, got)
		}
		if again := leadsTo(t, s.web.Handler(), got); again != got {
			t.Fatalf("%q leads to %q, and that to %q", returnTo, got, again)
		}
	})
}
