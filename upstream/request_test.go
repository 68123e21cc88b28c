package upstream_test

import (
	"net/http"
	"strings"
	"testing"

	"vestibule/upstream"
)

func TestPathAndQueryPassByteForByte(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, nil)
	for _, target := range []string{
		"/", "/a/b", "/a%2Fb", "/a%2fb", "/a//b", "//a", "//a/b?c=//d", "/a;v=1/b", "/a/../b", "/a/./b", "/%7Ea", "/~a", "/a|b", "/a^b", "/a{b}",
		"/[slug]", "/@modal/(.)photo", "/ä", "/%C3%A4", "/a+b", "/a%20b", "/a%00b", "/?", "/a?", "/a?b;c=d;e", "/a?b=%zz&c", "/a?b=c&b=d&", "/a?b=%2F+%20",
		"/a?b=ä|\"", "/_next/static/chunks/app/%5Bid%5D/page.js?dpl=1", "/a?" + strings.Repeat("b=c&", 400),
	} {
		h.ask(t, "GET "+target+" HTTP/1.1\nHost: x\n\n")
		if r, _ := app.last(t); r.RequestURI != target {
			t.Errorf("got %s, want %s", r.RequestURI, target)
		}
	}
}

// A request may name a whole URL (RFC 9112, section 3.2.2); where it goes is not the browser's to say.
func TestAnotherHostInTheRequestLineChangesNothing(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, nil)
	h.ask(t, "GET http://user:pass@evil.example/a?b HTTP/1.1\nHost: evil.example\n\n")
	r, _ := app.last(t)
	if r.RequestURI != "/a?b" || r.Host != "app.example.com" || r.Header.Get("Authorization") != "" {
		t.Errorf("got %s at %s, authorization %q", r.RequestURI, r.Host, r.Header.Get("Authorization"))
	}
}

func TestMethodsAndBodiesPass(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, nil)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY"} {
		h.ask(t, method+" /a HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello")
		if r, body := app.last(t); r.Method != method || body != "hello" || r.ContentLength != 5 {
			t.Errorf("got %s %q of %d bytes, want %s hello", r.Method, body, r.ContentLength, method)
		}
	}
	h.ask(t, "POST /a HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n")
	if r, body := app.last(t); body != "hello" || r.ContentLength != -1 {
		t.Errorf("in chunks: got %q of %d bytes", body, r.ContentLength)
	}
}

func TestTheApplicationHearsThePublicHost(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, nil)
	h.ask(t, "GET / HTTP/1.1\nHost: evil.example\nX-Forwarded-Host: evil.example\nX-Forwarded-Proto: http\nX-Forwarded-Port: 1\nForwarded: host=evil.example\n\n")
	r, _ := app.last(t)
	for name, want := range map[string]string{
		"X-Forwarded-Host": "app.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443", "Forwarded": "", "X-Forwarded-For": "127.0.0.1",
	} {
		if got := strings.Join(r.Header.Values(name), "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if r.Host != "app.example.com" {
		t.Errorf("Host: got %q", r.Host)
	}
}

func TestWhoIsInFrontIsBelievedOfTrustedPeersOnly(t *testing.T) {
	t.Parallel()
	const request = "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-For: 192.0.2.2, 10.0.0.1\nX-Real-IP: 192.0.2.1\nX-Forwarded-Prefix: /a\n" +
		"X-Forwarded-Host: evil.example\nX_Forwarded_For: 192.0.2.9\nForwarded: for=192.0.2.1\nX-Forwarded-User: root\n\n"
	for name, c := range map[string]struct {
		trusted []string
		want    map[string]string
	}{
		"a stranger": {[]string{"10.0.0.0/8"}, map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "", "X-Forwarded-Prefix": ""}},
		"trusted": {[]string{"127.0.0.0/8"}, map[string]string{
			"X-Forwarded-For": "192.0.2.1, 192.0.2.2, 10.0.0.1, 127.0.0.1", "X-Real-Ip": "192.0.2.1", "X-Forwarded-Prefix": "/a",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := &seen{}
			h := newHouse(t, app, func(o *options) { o.config.Trusted = trust(c.trusted...) })
			h.ask(t, request)
			r, _ := app.last(t)
			for name, want := range c.want {
				if got := strings.Join(r.Header.Values(name), "|"); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			for _, never := range []string{"Forwarded", "X_forwarded_for", "X_Forwarded_For", "X-Forwarded-User"} {
				if _, has := r.Header[never]; has {
					t.Errorf("%s passed", never)
				}
			}
			if got := r.Header.Get("X-Forwarded-Host"); got != "app.example.com" {
				t.Errorf("X-Forwarded-Host: got %q", got)
			}
		})
	}
}

// spellings are names under which servers behind us would read an identity.
var spellings = []string{
	"X-Auth-Request-User", "x-auth-request-user", "X-AUTH-REQUEST-EMAIL", "X_Auth_Request_User", "X-Auth_Request-User", "x_auth-request_groups",
	"X-Auth-Request-", "X-Auth-Request-Anything", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
	"X-Forwarded-Access-Token", "X_Forwarded_User", "x-forwarded_email", "Authorization", "authorization", "Remote-User", "REMOTE_USER", "X-Remote-User", "X-WEBAUTH-USER", "X-Middleware-Subrequest",
	"X.Auth.Request.User", "X!Auth!Request!User", "X.Forwarded.User", "Proxy", "Content_Length", "Transfer_Encoding", "X_Real_IP", "X_Forwarded_For",
}

func TestIdentityFromOutsideNeverPasses(t *testing.T) {
	t.Parallel()
	for name, visitor := range map[string]upstream.Visitor{"nobody is signed in": {}, "somebody is": signedIn()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := &seen{}
			h := newHouse(t, app, func(o *options) {
				o.visitor = visitor
				o.config.Trusted = trust("127.0.0.0/8") // not even from there
			})
			for _, spelling := range spellings {
				h.ask(t, "POST / HTTP/1.1\nHost: x\n"+spelling+": forged\n"+spelling+": forged too\nTransfer-Encoding: chunked\nTrailer: "+spelling+", X-Other\n"+
					"X-Authentic: yes\n\n2\nhi\n0\n"+spelling+": forged\nX-Other: kept\n\n")
				r, _ := app.last(t)
				for _, where := range []http.Header{r.Header, r.Trailer} {
					for name, values := range where {
						if strings.Contains(strings.Join(values, " "), "forged") {
							t.Errorf("%s passed as %s: %q", spelling, name, values)
						}
					}
				}
				if r.Trailer.Get("X-Other") != "kept" || r.Header.Get("X-Authentic") != "yes" {
					t.Errorf("%s: trailer %q, header %q: what is no identity should pass", spelling, r.Trailer, r.Header)
				}
			}
		})
	}
}

// What "Connection" names is for one hop only and removed; a browser must not be able to name what is said about it.
func TestConnectionCannotTakeAwayWhatIsOurs(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, func(o *options) { o.visitor = signedIn() })
	h.ask(t, "GET / HTTP/1.1\nHost: x\nX-Auth-Request-User: root\nX-Hop: 1\nCookie: __Host-v=s; a=1\n"+
		"Connection: close, X-Auth-Request-User, Authorization, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Hop\n\n")
	r, _ := app.last(t)
	for name, want := range map[string]string{
		"X-Auth-Request-User": "alice", "Authorization": "Bearer the-token", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "app.example.com",
		"X-Forwarded-Proto": "https", "X-Hop": "", "Cookie": "a=1",
	} {
		if got := strings.Join(r.Header.Values(name), "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestAnonymousVisitorsHaveNoBearer(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, nil)
	h.ask(t, "GET / HTTP/1.1\nHost: x\nAuthorization: Bearer forged\n\n")
	r, _ := app.last(t)
	if _, has := r.Header["Authorization"]; has {
		t.Errorf("got %q, want none", r.Header["Authorization"])
	}
}

func TestOurCookiesStayHere(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, nil)
	for sent, want := range map[string]string{
		"Cookie: a=1; __Host-v=s; b=2; __Host-v.1=t":   "a=1; b=2",
		"Cookie: __Host-v=s":                           "",
		"Cookie: a=1\nCookie: __Host-v=s\ncookie: b=2": "a=1|b=2",
	} {
		h.ask(t, "GET / HTTP/1.1\nHost: x\n"+sent+"\n\n")
		r, _ := app.last(t)
		if got := strings.Join(r.Header["Cookie"], "|"); got != want {
			t.Errorf("%s: got %q, want %q", sent, got, want)
		}
		if _, has := r.Header["Cookie"]; has && want == "" {
			t.Errorf("%s: an empty header passed", sent)
		}
	}
}

func TestTheRestPassesAsItIs(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, nil)
	h.ask(t, "GET / HTTP/1.1\nHost: x\nAccept-Encoding: br\nRSC: 1\nNext-Router-State-Tree: %5B%5D\nOrigin: https://app.example.com\nX-Custom_Name: 1\nRange: bytes=1-2\nIf-None-Match: \"a\"\n\n")
	r, _ := app.last(t)
	for name, want := range map[string]string{
		"Accept-Encoding": "br", "Rsc": "1", "Next-Router-State-Tree": "%5B%5D", "Origin": "https://app.example.com", "X-Custom_name": "1",
		"Range": "bytes=1-2", "If-None-Match": `"a"`, "User-Agent": "",
	} {
		if got := strings.Join(r.Header[name], "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// A header that strangers can send as well says nothing about anybody.
func TestOnlyGuardedNamesCanTellAnIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &seen{}, func(o *options) { o.visitor.Identity = http.Header{"X-User": {"alice"}} })
	res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n")
	if err := <-h.errs; res.StatusCode != http.StatusBadGateway || err == nil || !strings.Contains(err.Error(), "X-User") {
		t.Errorf("got %d and %v, want a refusal that names the header", res.StatusCode, err)
	}
}

func TestNewAppNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	whole := upstream.AppConfig{Target: parse(t, "http://a"), PublicURL: parse(t, publicURL), Strip: strip, Owns: owns}
	if _, err := upstream.NewApp(whole); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*upstream.AppConfig){
		"Target":           func(c *upstream.AppConfig) { c.Target = nil },
		"PublicURL":        func(c *upstream.AppConfig) { c.PublicURL = nil },
		"Strip":            func(c *upstream.AppConfig) { c.Strip = nil },
		"Owns":             func(c *upstream.AppConfig) { c.Owns = nil },
		"Target is not an": func(c *upstream.AppConfig) { c.Target = parse(t, "http://a/base") },
		"is not an origin": func(c *upstream.AppConfig) { c.Target = parse(t, "ftp://a") },
	} {
		c := whole
		change(&c)
		if _, err := upstream.NewApp(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
