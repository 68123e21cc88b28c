package handlers_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

// application is one that tells what it heard, and keeps it.
type application struct {
	mu   sync.Mutex
	last *http.Request
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.last = r
	a.mu.Unlock()
	w.Header().Set("Cache-Control", "public, s-maxage=60")
	_, _ = fmt.Fprintf(w, "%s %s", r.Method, r.RequestURI)
}

// heard is the last request since forget.
func (a *application) heard(t testing.TB) *http.Request {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last == nil {
		t.Fatal("nothing came to the application")
	}
	return a.last
}

func (a *application) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = nil
}

func (a *application) bearer(t testing.TB) string {
	t.Helper()
	return strings.TrimPrefix(a.heard(t).Header.Get("Authorization"), "Bearer ")
}

// newApplication is a server with an application behind it, and a browser that is signed in.
func newApplication(t testing.TB, change func(*options)) (*server, *application, *browser) {
	t.Helper()
	app := &application{}
	s := newServer(t, func(o *options) {
		o.app = app
		if change != nil {
			change(o)
		}
	})
	b := s.browser(t)
	b.signIn()
	return s, app, b
}

func TestWhatIsNotOursGoesToTheApplication(t *testing.T) {
	t.Parallel()
	_, app, b := newApplication(t, nil)
	for target, method := range map[string]string{
		"/": "GET", "/dashboard?a=b;c": "GET", "/api/cognito%2Dtoken": "GET", "/api/auth/unknown": "POST", "/static/none.css": "GET", "/api/items/": "DELETE",
		"/api/other": "OPTIONS", "/a//b": "PROPFIND", "/static/": "GET",
	} {
		app.forget()
		if a := b.send(method, target, ""); a.status != http.StatusOK || a.body != method+" "+target {
			t.Errorf("%s %s: got %d %q", method, target, a.status, a.body)
		}
	}
	app.forget()
	for _, target := range []string{tokenPath, "/login", "/healthz", "/api/auth/session", tokenPath + "/"} {
		b.get(target)
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	if app.last != nil {
		t.Errorf("%s went to the application", app.last.RequestURI)
	}
}

func TestTheApplicationHearsWhoAsks(t *testing.T) {
	t.Parallel()
	s, app, b := newApplication(t, nil)
	a := b.get("/dashboard", "X-Auth-Request-User: root", "X_Auth_Request_Email: root@example.com", "Authorization: Bearer forged", "Cookie: theme=dark")
	r := app.heard(t)
	token := b.token("").AccessToken
	for name, want := range map[string]string{
		"X-Auth-Request-User": s.provider.Users()[0].Sub, "X-Auth-Request-Email": "alice@example.com", "X_auth_request_email": "",
		"Authorization": "Bearer " + token, "X-Forwarded-Host": strings.TrimPrefix(s.origin, "http://"), "X-Forwarded-Proto": "http",
	} {
		if got := strings.Join(r.Header[name], "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := strings.Join(r.Header["Cookie"], "|"); got != "theme=dark" {
		t.Errorf("the application got the cookies %q", got)
	}
	if len(a.set) != 0 || a.header.Get("Cache-Control") != "public, s-maxage=60" {
		t.Errorf("an answer that carries no session was touched: %q", a.header)
	}
}

func TestStrangersAreNobody(t *testing.T) {
	t.Parallel()
	s, app, _ := newApplication(t, nil)
	a := s.stranger(t).get("/dashboard", "X-Auth-Request-User: root", "X-Forwarded-User: root", "Authorization: Bearer forged")
	r := app.heard(t)
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Auth") || name == "X-Forwarded-User" || name == "Authorization" {
			t.Errorf("%s passed", name)
		}
	}
	if a.status != http.StatusOK || len(a.set) != 0 {
		t.Errorf("got %d and %d cookies, want 200 and none", a.status, len(a.set))
	}
}

// A server component cannot set a cookie: it must never find a token that has run out.
func TestTheTokenIsRefreshedBeforeTheApplicationIsAsked(t *testing.T) {
	t.Parallel()
	s, app, b := newApplication(t, nil)
	old := b.token("").AccessToken
	s.clock.advance(2 * time.Hour)
	a := b.get("/dashboard")
	given := app.bearer(t)
	if given == old || given != b.token("").AccessToken {
		t.Error("the application did not get the newest token")
	}
	if a.sets(s.cookie) == nil || a.header.Get("Cache-Control") != "private, no-store" || !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Cookie") {
		t.Errorf("got %q, want the newer session, kept from caches", a.header)
	}
	if got := s.provider.Stats().Refresh.OK; got != 1 {
		t.Errorf("%d refreshes, want 1", got)
	}
}

func TestManyRequestsOfAPageRefreshOnce(t *testing.T) {
	t.Parallel()
	s, _, b := newApplication(t, nil)
	s.clock.advance(2 * time.Hour)
	cookies := b.cookies()
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			if a, err := s.stranger(t).try(context.Background(), http.MethodGet, fmt.Sprint("/data/", i), "", cookies); err != nil || a.status != http.StatusOK {
				t.Errorf("got %d, %v", a.status, err)
			}
		})
	}
	all.Wait()
	if got := s.provider.Stats().Refresh.OK; got != 1 {
		t.Errorf("%d refreshes, want 1", got)
	}
}

func TestASessionThatIsOverIsClearedOnTheWay(t *testing.T) {
	t.Parallel()
	s, app, b := newApplication(t, func(o *options) { o.session.MaxAge = time.Hour })
	s.clock.advance(time.Hour)
	a := b.get("/dashboard")
	if a.status != http.StatusOK || !a.cleared(s.cookie) || app.heard(t).Header["Authorization"] != nil {
		t.Errorf("got %d, %q; want the application's page for nobody, and the cookie cleared", a.status, a.set)
	}
}

func TestWhileTheProviderIsDownPagesSaySoAndTheirPartsPass(t *testing.T) {
	t.Parallel()
	s, app, b := newApplication(t, nil)
	s.faults(t, devidp.Faults{Token: devidp.Fault{Status: 503}})
	s.clock.advance(56 * time.Minute)
	if b.get("/dashboard"); app.bearer(t) == "" {
		t.Error("while the token lives: the application did not get it")
	}
	s.clock.advance(2 * time.Hour)
	app.forget()
	for name, header := range map[string]string{"a page": "Accept: text/html", "data": "Sec-Fetch-Dest: empty"} {
		a := b.get("/dashboard", header)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || len(a.set) != 0 || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d, %q", name, a.status, a.header)
		}
	}
	if a := b.get("/_next/static/a.js", "Sec-Fetch-Dest: script"); a.status != http.StatusOK || app.bearer(t) != "" {
		t.Errorf("a script: got %d with a bearer of %d bytes, want 200 and none", a.status, len(app.bearer(t)))
	}
	if !b.holdsSession() {
		t.Error("an outage ended the session")
	}
}

// The session's cookie goes along with what pages of a neighbouring host ask for. They must not act for the person.
func TestOtherSitesActForNobody(t *testing.T) {
	t.Parallel()
	_, app, b := newApplication(t, func(o *options) { o.handlers.RedirectOrigins = []string{"https://friend.example"} })
	for name, c := range map[string]struct {
		method  string
		headers []string
		known   bool
	}{
		"our own page":                   {"POST", []string{"Sec-Fetch-Site: same-origin"}, true},
		"an address typed in":            {"GET", []string{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"}, true},
		"no browser":                     {"POST", nil, true},
		"a listed origin":                {"POST", []string{"Sec-Fetch-Site: cross-site", "Origin: https://friend.example"}, true},
		"a link":                         {"GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, true},
		"a link of a neighbour":          {"HEAD", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate"}, true},
		"a link that names an origin":    {"GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: https://evil.example"}, false},
		"another site's form":            {"POST", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: https://evil.example"}, false},
		"a neighbour's form":             {"POST", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Origin: https://evil.example"}, false},
		"a neighbour's script":           {"GET", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Origin: https://evil.example"}, false},
		"a neighbour's image":            {"GET", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors"}, false},
		"a neighbour's socket":           {"GET", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: websocket", "Origin: https://evil.example"}, false},
		"an old browser's socket":        {"GET", []string{"Origin: https://evil.example"}, false},
		"a form that hides its origin":   {"POST", []string{"Sec-Fetch-Site: cross-site", "Origin: null"}, false},
		"a delete with a link's headers": {"DELETE", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, false},
	} {
		app.forget()
		a := b.send(c.method, "/dashboard", "", c.headers...)
		r := app.heard(t)
		token, user := r.Header["Authorization"] != nil, r.Header["X-Auth-Request-User"] != nil
		if a.status != http.StatusOK || token != c.known || user != c.known {
			t.Errorf("%s: got %d, a token %t, a user %t, want 200, %t for both", name, a.status, token, user, c.known)
		}
		if strings.Contains(strings.Join(r.Header["Cookie"], ";"), "vestibule") {
			t.Errorf("%s: the session's cookie passed", name)
		}
	}
}

func TestTunnelsAndEchoesAreRefused(t *testing.T) {
	t.Parallel()
	s, app, _ := newApplication(t, nil)
	for request, want := range map[string]int{
		"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n":                       http.StatusMethodNotAllowed,
		"CONNECT internal:22 HTTP/1.1\r\nHost: internal:22\r\n\r\n": http.StatusNotFound, // it names no path that could be ours
		"CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n":                    http.StatusMethodNotAllowed,
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.origin, "http://"))
		must(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, request)
		must(t, err)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		must(t, res.Body.Close())
		if res.StatusCode != want || (want == http.StatusMethodNotAllowed) != (res.Header.Get("Allow") != "") {
			t.Errorf("%q: got %d, Allow %q, want %d", request, res.StatusCode, res.Header.Get("Allow"), want)
		}
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	if app.last != nil {
		t.Errorf("%s passed", app.last.Method)
	}
}

func TestAnApplicationThatIsDownHasAPage(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, free.Close())
	s := newServer(t, func(o *options) { o.app, o.appURL = &application{}, "http://"+free.Addr().String() })
	a := s.stranger(t).get("/dashboard?code=s3cret", "Accept: text/html")
	if a.status != http.StatusBadGateway || !strings.Contains(a.body, "<html") || a.header.Get("Cache-Control") != "no-store" || strings.Contains(a.body, free.Addr().String()) {
		t.Errorf("got %d %q, want 502, a page, and no address", a.status, a.header)
	}
	s.stranger(t).get("/data").wants(t, http.StatusBadGateway, `{"error":"Bad Gateway"}`)
	if log := s.logs.String(); !strings.Contains(log, free.Addr().String()) || !strings.Contains(log, "connection refused") || strings.Contains(log, "s3cret") {
		t.Errorf("the log should name the application and the cause, and no query: %s", log)
	}
}

func TestAnApplicationThatIsSlowHasAPage(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.appTimeout = 20 * time.Millisecond
		o.app = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	})
	s.stranger(t).get("/data").wants(t, http.StatusGatewayTimeout, `{"error":"Gateway Timeout"}`)
}

func TestWhoHangsUpOnTheApplicationIsNobodysFault(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(t.Context())
	s := newServer(t, func(o *options) {
		o.app = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			hangUp()
			<-r.Context().Done()
		})
	})
	if _, err := s.stranger(t).try(ctx, http.MethodGet, "/data", ""); err == nil {
		t.Fatal("the browser that hung up got an answer")
	}
	until(t, "it is recorded", func() bool { return strings.Contains(s.logs.String(), "status=499") })
	if log := s.logs.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("who hangs up is logged as an error: %s", log)
	}
}

// The session's newer cookie must reach the browser whatever becomes of the application: the old refresh token is spent.
func TestARefreshIsNotLostWithTheApplication(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.app = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	})
	b := s.browser(t)
	b.signIn()
	s.clock.advance(2 * time.Hour)
	if a := b.get("/dashboard"); a.status != http.StatusBadGateway || a.sets(s.cookie) == nil {
		t.Errorf("got %d and %q, want 502 and the newer session", a.status, a.set)
	}
}

func TestHintsOfTheApplicationAreNotItsAnswer(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.app = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		})
	})
	b := s.browser(t)
	b.signIn()
	s.clock.advance(2 * time.Hour)
	hints := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		hints++
		return nil
	}})
	a, err := b.try(ctx, http.MethodGet, "/dashboard", "")
	must(t, err)
	if hints != 1 || a.status != http.StatusAccepted || a.sets(s.cookie) == nil {
		t.Errorf("got %d hints, then %d and %q; want 1, 202 and the newer session", hints, a.status, a.set)
	}
	s.stop()
	if log := s.logs.String(); !strings.Contains(log, "status=202") || strings.Contains(log, "status=103") {
		t.Errorf("the record should tell 202: %s", log)
	}
}
