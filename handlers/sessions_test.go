package handlers_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/session"
)

const (
	sessionsPath = "/api/auth/sessions"

	firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0"
	safari  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"

	asPage = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
)

func inServerMode(o *options) { o.session.Mode = session.ModeServer }

// listedSession is one session as a program reads it.
type listedSession struct {
	ID         string `json:"id"`
	Device     string `json:"device"`
	StartedAt  int64  `json:"startedAt"`
	LastSeenAt int64  `json:"lastSeenAt"`
	Current    bool   `json:"current"`
}

func (b *browser) sessions() []listedSession {
	b.t.Helper()
	a := b.get(sessionsPath)
	var out struct {
		Sessions []listedSession `json:"sessions"`
	}
	if err := json.Unmarshal([]byte(a.body), &out); a.status != http.StatusOK || err != nil {
		b.t.Fatalf("the list: got %d %s, want 200", a.status, a.body)
	}
	return out.Sessions
}

// on signs a new browser in, which says of itself what it is.
func (s *server) on(t *testing.T, agent string) *browser {
	t.Helper()
	b := s.browser(t)
	callback := b.atProvider(b.begin("/api/auth/sign-in"))
	if a := b.get(callback, "User-Agent: "+agent); a.status != http.StatusSeeOther {
		t.Fatalf("callback: got %d %s, want 303", a.status, a.body)
	}
	return b
}

// signedIn says whether a browser still has a session.
func (b *browser) signedIn() bool {
	b.t.Helper()
	switch a := b.get("/api/auth/session"); a.status {
	case http.StatusOK:
		return true
	case http.StatusUnauthorized:
		return false
	default:
		b.t.Fatalf("session: got %d %s", a.status, a.body)
		return false
	}
}

func TestPeopleSeeWhereTheyAreSignedIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, inServerMode)
	began := s.clock.Now()
	first := s.on(t, firefox)
	s.clock.advance(time.Minute)
	second := s.on(t, safari)
	s.browser(t).signIn(s.provider.Users()[1]) // somebody else

	got := second.sessions()
	if len(got) != 2 {
		t.Fatalf("got %+v, want two sessions", got)
	}
	for i, want := range []listedSession{
		{Device: "Safari on iPhone", StartedAt: began.Add(time.Minute).Unix(), LastSeenAt: began.Add(time.Minute).Unix(), Current: true},
		{Device: "Firefox on Windows", StartedAt: began.Unix(), LastSeenAt: began.Unix()},
	} {
		if len(got[i].ID) != 22 {
			t.Errorf("got id %q, want 22 characters", got[i].ID)
		}
		want.ID = got[i].ID
		if got[i] != want {
			t.Errorf("row %d: got %+v, want %+v", i, got[i], want)
		}
	}
	if other := first.sessions(); len(other) != 2 || other[0].Current || !other[1].Current || other[0].ID == other[1].ID {
		t.Errorf("seen from the other browser: got %+v, want the same with the other mark", other)
	}
	a := second.get(sessionsPath)
	for name, want := range map[string]string{"Cache-Control": "no-store", "Vary": "Cookie, Accept", "Content-Type": "application/json", "Set-Cookie": ""} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestThePageOfSessionsIsOnesOwn(t *testing.T) {
	t.Parallel()
	s := newServer(t, inServerMode)
	s.on(t, "curl/8.5.0")
	b := s.on(t, firefox)
	a := b.get(sessionsPath, asPage)
	for _, want := range []string{"<h1>Your devices</h1>", "Firefox on Windows", "Unknown device", "This device", `<time datetime="2031-05-06T07:08:09Z">2031-05-06 07:08 UTC</time>`,
		`value="others"`, `name="everywhere" value="true"`, `value="` + b.sessions()[1].ID + `"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, a.body)
		}
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Vary": "Cookie, Accept, Accept-Language", "Content-Type": "text/html; charset=utf-8"} {
		if got := a.header.Get(name); a.status != http.StatusOK || got != want {
			t.Errorf("%d, %s: got %q, want %q", a.status, name, got, want)
		}
	}
	csp := a.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, s.provider.URL()) {
		t.Errorf("the policy %q lets the page be framed, or stops the redirect to the provider's logout", csp)
	}
	if got := b.get(sessionsPath+"?lang=ja", asPage).body; !strings.Contains(got, "Windows の Firefox") || !strings.Contains(got, `action="/api/auth/sessions?lang=ja"`) {
		t.Errorf("in Japanese: got\n%s", got)
	}
	if got := b.get(sessionsPath+"?done=All+is+lost%21", asPage).body; strings.Contains(got, "lost") || strings.Contains(got, `role="status"`) {
		t.Error("a link makes the page say what it likes")
	}
	if got := b.get(sessionsPath+"?done=others", asPage).body; strings.Contains(got, "All other devices are signed out") {
		t.Error("a link makes the page say that others are signed out, which they are not")
	}
}

func TestWhoIsNotSignedInIsLedToThePageBySigningIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, inServerMode)
	b := s.browser(t)
	b.get(sessionsPath).wants(t, http.StatusUnauthorized, unauthorized)
	for _, method := range []string{"GET", "POST"} {
		a := b.send(method, sessionsPath, "", asPage)
		if want := "/login?returnTo=%2Fapi%2Fauth%2Fsessions"; a.status != http.StatusSeeOther || a.location() != want || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: got %d to %q, want 303 to %s", method, a.status, a.location(), want)
		}
	}
	login := b.get("/login?returnTo=%2Fapi%2Fauth%2Fsessions", asPage)
	if !strings.Contains(login.body, "sign-in?returnTo=%2Fapi%2Fauth%2Fsessions") {
		t.Fatalf("the sign-in page forgets where to go:\n%s", login.body)
	}
	back := b.get(b.atProvider(b.begin("/api/auth/sign-in?returnTo=%2Fapi%2Fauth%2Fsessions")))
	if back.location() != sessionsPath {
		t.Errorf("after the sign-in: got %q, want the page", back.location())
	}
	// The browser comes from the provider, which is another site.
	if a := b.get(sessionsPath, asPage, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"); a.status != http.StatusOK {
		t.Errorf("led there from the provider: got %d, want the page", a.status)
	}
}

func TestWithSessionsInCookiesThereIsNoList(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	b.get(sessionsPath).wants(t, http.StatusNotFound, `{"error":"Not Found"}`)
	if got := b.begin("/api/auth/sign-in?returnTo=" + url.QueryEscape(sessionsPath)); got == "" {
		t.Fatal("no sign-in")
	} else if a := b.get(b.atProvider(got)); a.location() != "/" {
		t.Errorf("a sign-in leads to %q, which is not there", a.location())
	}
}

func TestChosenSessionsEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end   func(mine, one, two string) url.Values
		stand [3]bool // the one that asks, the others
	}{
		"one":            {func(_, one, _ string) url.Values { return url.Values{"end": {one}} }, [3]bool{true, false, true}},
		"several":        {func(_, one, two string) url.Values { return url.Values{"end": {one, two}} }, [3]bool{true, false, false}},
		"the others":     {func(_, _, _ string) url.Values { return url.Values{"end": {"others"}} }, [3]bool{true, false, false}},
		"one's own":      {func(mine, _, _ string) url.Values { return url.Values{"end": {mine}} }, [3]bool{false, true, true}},
		"one's own, too": {func(mine, one, _ string) url.Values { return url.Values{"end": {mine, one}} }, [3]bool{false, false, true}},
		"nobody's":       {func(_, _, _ string) url.Values { return url.Values{"end": {strings.Repeat("A", 22)}} }, [3]bool{true, true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, inServerMode)
			one := s.on(t, safari)
			s.clock.advance(time.Second)
			two := s.on(t, safari)
			s.clock.advance(time.Second)
			b := s.on(t, firefox)
			stranger := s.browser(t)
			stranger.signIn(s.provider.Users()[1])
			all, kept := b.sessions(), b.cookies()
			if a := b.post(sessionsPath, tt.end(all[0].ID, all[2].ID, all[1].ID)); a.status != http.StatusNoContent || a.body != "" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %q, want 204", a.status, a.body)
			}
			// The cookie of who asked is tried as a thief would who had kept it.
			mine := s.stranger(t).get("/api/auth/session", kept).status == http.StatusOK
			if got := [3]bool{mine, one.signedIn(), two.signedIn()}; got != tt.stand || b.holdsSession() != tt.stand[0] {
				t.Errorf("got %v, cookie %t, want %v", got, b.holdsSession(), tt.stand)
			}
			replica := s.replica(t, nil)
			if got := one.at(replica).signedIn(); got != tt.stand[1] {
				t.Errorf("at another replica: got %v, want %v", got, tt.stand[1])
			}
			if !stranger.signedIn() {
				t.Error("somebody else was signed out")
			}
		})
	}
}

func TestNobodyEndsWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	s := newServer(t, inServerMode)
	b := s.on(t, firefox)
	other := s.browser(t)
	other.signIn(s.provider.Users()[1])
	if a := b.post(sessionsPath, url.Values{"end": {other.sessions()[0].ID}}); a.status != http.StatusNoContent {
		t.Errorf("got %d, want 204 as for a name that nobody has", a.status)
	}
	if !other.signedIn() {
		t.Error("somebody else's session was ended")
	}
}

func TestThePageSaysWhatWasDone(t *testing.T) {
	t.Parallel()
	s := newServer(t, inServerMode)
	s.on(t, safari)
	s.on(t, safari)
	b := s.on(t, firefox)
	for _, step := range []struct{ end, to, says string }{
		{b.sessions()[1].ID, "?done=one", "The device is signed out."},
		{"others", "?done=others", "All other devices are signed out."},
	} {
		a := b.post(sessionsPath, url.Values{"end": {step.end}}, asPage, "Sec-Fetch-Site: same-origin", "Origin: "+s.origin)
		if want := sessionsPath + step.to + "#done"; a.status != http.StatusSeeOther || a.location() != want {
			t.Fatalf("got %d to %q, want 303 to %s", a.status, a.location(), want)
		}
		if page := b.get(sessionsPath+step.to, asPage).body; !strings.Contains(page, `role="status" id="done" tabindex="-1">`+step.says) {
			t.Errorf("%s: the page does not say %q", step.to, step.says)
		}
	}
	a := b.post(sessionsPath+"?lang=id", url.Values{"end": {"others"}}, asPage)
	if want := sessionsPath + "?done=others&lang=id#done"; a.location() != want {
		t.Errorf("the language: got %q, want %s", a.location(), want)
	}
	before := s.provider.Stats().Revoke.OK
	a = b.post(sessionsPath, url.Values{"end": {b.sessions()[0].ID}}, asPage)
	if a.status != http.StatusSeeOther || a.location() != "/api/auth/sign-out-callback" || b.holdsSession() {
		t.Errorf("one's own: got %d to %q, want the signed-out page and no cookie", a.status, a.location())
	}
	if got := s.provider.Stats().Revoke.OK - before; got != 1 {
		t.Errorf("one's own: got %d revocations, want the refresh token's", got)
	}
}

func TestAnotherSiteNeitherReadsNorEndsSessions(t *testing.T) {
	t.Parallel()
	s := newServer(t, inServerMode)
	one := s.on(t, safari)
	b := s.on(t, firefox)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: https://evil.example"},
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: null"},
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"},
		{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Origin: https://evil.example"},
		{"Origin: https://evil.example"},
		{"Origin: null"},
	} {
		for _, accept := range []string{"Accept: */*", asPage} {
			if a := b.post(sessionsPath, url.Values{"end": {"others"}}, append(headers, accept)...); a.status != http.StatusForbidden {
				t.Errorf("POST with %q: got %d, want 403", headers, a.status)
			}
		}
	}
	for _, headers := range [][]string{
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"},
		{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors"},
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: null"},
		{"Origin: https://evil.example"},
	} {
		if a := b.get(sessionsPath, headers...); a.status != http.StatusForbidden {
			t.Errorf("GET with %q: got %d, want 403", headers, a.status)
		}
	}
	if !one.signedIn() {
		t.Error("another site has ended a session")
	}
}

func TestWhatNamesNoSessionIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, inServerMode)
	one := s.on(t, safari)
	b := s.on(t, firefox)
	id := one.sessions()[1].ID
	form := "Content-Type: application/x-www-form-urlencoded"
	for name, tt := range map[string]struct {
		body    string
		headers []string
		want    int
	}{
		"nothing":                  {"", []string{form}, 400},
		"another field":            {"id=" + id, []string{form}, 400},
		"an empty name":            {"end=", []string{form}, 400},
		"a name too short":         {"end=" + id[:21], []string{form}, 400},
		"a name too long":          {"end=" + id + "A", []string{form}, 400},
		"characters of no name":    {"end=" + id[:21] + "%2F", []string{form}, 400},
		"a name and the others":    {"end=" + id + "&end=others", []string{form}, 400},
		"the others, twice":        {"end=others&end=others", []string{form}, 400},
		"more than anybody has":    {strings.Repeat("end="+id+"&", 201), []string{form}, 400},
		"a form that is none":      {"end=%zz", []string{form}, 400},
		"too large":                {"end=" + strings.Repeat("A", 64<<10), []string{form}, 413},
		"JSON":                     {`{"end":"others"}`, []string{"Content-Type: application/json"}, 400},
		"a form that is not named": {"end=others", nil, 400},
	} {
		if a := b.send(http.MethodPost, sessionsPath, tt.body, tt.headers...); a.status != tt.want {
			t.Errorf("%s: got %d, want %d", name, a.status, tt.want)
		}
	}
	if a := b.send(http.MethodPost, sessionsPath+"?end=others", "", form); a.status != http.StatusBadRequest {
		t.Errorf("in the query: got %d, want 400", a.status)
	}
	if !one.signedIn() {
		t.Error("a session was ended all the same")
	}
}

func TestAskingForTheListDoesNotKeepASessionAlive(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.session.Mode, o.session.IdleTimeout = session.ModeServer, time.Hour
	})
	b := s.on(t, firefox)
	began := b.sessions()[0].LastSeenAt
	for range 3 {
		s.clock.advance(15 * time.Minute)
		if got := b.sessions()[0].LastSeenAt; got != began {
			t.Errorf("the list makes itself a visit: got %d, want %d", got, began)
		}
	}
	s.clock.advance(15 * time.Minute)
	b.get(sessionsPath).wants(t, http.StatusUnauthorized, unauthorized)
	if asked := s.provider.Stats().Refresh.Asked; asked != 0 {
		t.Errorf("the list refreshes: got %d, want none", asked)
	}
}

func TestWithoutTheCacheNobodyIsSignedOutByTheirList(t *testing.T) {
	t.Parallel()
	var store *kvtest.Faulty
	s := newServer(t, func(o *options) {
		inServerMode(o)
		o.clock = newClock()
		store = &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{Now: o.clock.Now})}
		o.session.Store = store
	})
	b := s.on(t, firefox)
	in := b.cookies()
	store.SetDown(true)
	for _, ask := range []func(...string) answer{
		func(headers ...string) answer { return b.get(sessionsPath, headers...) },
		func(headers ...string) answer {
			return b.post(sessionsPath, url.Values{"end": {"others"}}, headers...)
		},
	} {
		for _, accept := range []string{"Accept: application/json", asPage} {
			a := ask(accept)
			if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || len(a.set) != 0 || b.cookies() != in {
				t.Errorf("%s: got %d, Retry-After %q, cookies %v, want 503 and the session to stay", accept, a.status, a.header.Get("Retry-After"), a.set)
			}
			if page := strings.HasPrefix(a.header.Get("Content-Type"), "text/html"); page != (accept == asPage) {
				t.Errorf("%s: got %s", accept, a.header.Get("Content-Type"))
			}
		}
	}
	store.SetDown(false)
	if !b.signedIn() {
		t.Error("afterwards the session is gone")
	}
}

func TestTheNamesInTheListOpenNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, inServerMode)
	id := s.on(t, firefox).sessions()[0].ID
	s.stranger(t).get("/api/auth/session", "Cookie: "+s.cookie+"="+id).wants(t, http.StatusUnauthorized, unauthorized)
}
