package handlers_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/session"
)

const adminToken = "an-admin-token-of-more-than-32-characters"

func withAdmin(mode session.Mode) func(*options) {
	return func(o *options) {
		withLogouts(mode)(o)
		o.handlers.AdminToken = func() []byte { return []byte(adminToken) }
	}
}

// admin asks the admin side.
func (s *server) admin(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	s.web.AdminHandler().ServeHTTP(w, r)
	read, err := io.ReadAll(w.Result().Body)
	must(t, err)
	return answer{status: w.Code, header: w.Result().Header, body: string(read)}
}

func (s *server) endSessions(t testing.TB, body string) answer {
	t.Helper()
	return s.admin(t, http.MethodPost, "/sessions/end", body, "Authorization: Bearer "+adminToken, "Content-Type: application/json")
}

func TestAnOperatorEndsSessions(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		for named, row := range map[string]struct {
			body func(sub, sid string) string
			both bool
		}{
			"by sub":          {func(sub, _ string) string { return `{"sub":"` + sub + `"}` }, true},
			"by sid":          {func(_, sid string) string { return `{"sid":"` + sid + `"}` }, false},
			"by sub with sid": {func(sub, sid string) string { return ` {"sub":"` + sub + `", "sid":"` + sid + "\"}\n" }, false},
		} {
			t.Run(name+" "+named, func(t *testing.T) {
				t.Parallel()
				s := newServer(t, withAdmin(mode))
				second := s.replica(t, withAdmin(mode))
				named, other, bob := s.browser(t), s.browser(t), s.browser(t)
				named.signIn()
				other.signIn()
				bob.signIn(s.provider.Users()[1])
				a := second.endSessions(t, row.body(named.who()))
				a.wants(t, http.StatusNoContent, "")
				if a.header.Get("Cache-Control") != "no-store" {
					t.Errorf("got the headers %v, want no-store", a.header)
				}
				named.alive("the session that was named", false)
				other.alive("another session of the person", !row.both)
				bob.alive("another person's session", true)
				log := second.logs.String()
				if !strings.Contains(log, `msg="sessions ended by an operator"`) || strings.Contains(log, s.provider.Users()[0].Sub) || strings.Contains(log, adminToken) {
					t.Error("the log does not tell of it, or tells who it was, or the token")
				}
			})
		}
	}
}

// Whoever knows the person finds the line; printf %s alice | sha256sum | cut -c1-12.
func TestTheLogNamesAPersonByAHash(t *testing.T) {
	t.Parallel()
	s := newServer(t, withAdmin(session.ModeCookie))
	s.endSessions(t, `{"sub":"alice"}`).wants(t, http.StatusNoContent, "")
	if want := "by=sub whose=2bd806c97f0e"; !strings.Contains(s.logs.String(), want) {
		t.Errorf("the log does not hold %s", want)
	}
}

func TestOnlyAnOperatorMayEndSessions(t *testing.T) {
	t.Parallel()
	s := newServer(t, withAdmin(session.ModeCookie))
	b := s.browser(t)
	b.signIn()
	sub, _ := b.who()
	body := `{"sub":"` + sub + `"}`
	for name, headers := range map[string][]string{
		"no token":           nil,
		"another token":      {"Authorization: Bearer " + strings.Replace(adminToken, "a", "b", 1)},
		"a part of it":       {"Authorization: Bearer " + adminToken[:40]},
		"more than it":       {"Authorization: Bearer " + adminToken + "x"},
		"a space before it":  {"Authorization: Bearer  " + adminToken},
		"an empty one":       {"Authorization: Bearer "},
		"no scheme":          {"Authorization: " + adminToken},
		"another scheme":     {"Authorization: Basic " + adminToken},
		"the token twice":    {"Authorization: Bearer " + adminToken, "Authorization: Bearer " + adminToken},
		"in another header":  {"X-Authorization: Bearer " + adminToken},
		"the cookie instead": {b.cookies()},
	} {
		a := s.admin(t, http.MethodPost, "/sessions/end", body, headers...)
		a.wants(t, http.StatusUnauthorized, unauthorized)
		if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: no challenge", name)
		}
		b.alive(name, true)
	}
	if a := s.admin(t, http.MethodGet, "/sessions/end", "", "Authorization: Bearer "+adminToken); a.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %d, want 405", a.status)
	}
	public := s.stranger(t).send(http.MethodPost, "/sessions/end", body, "Authorization: Bearer "+adminToken)
	public.wants(t, http.StatusNotFound, `{"error":"Not Found"}`)
	b.alive("after a call on the public listener", true)
	s.admin(t, http.MethodPost, "/sessions/end", body, "Authorization: bearer "+adminToken).wants(t, http.StatusNoContent, "")
	b.alive("after a scheme in small letters", false)
}

func TestWithoutATokenThereIsNoAdminCall(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, header := range []string{"Authorization: Bearer ", "Authorization: Bearer " + adminToken} {
		s.admin(t, http.MethodPost, "/sessions/end", `{"sub":"x"}`, header).wants(t, http.StatusNotFound, `{"error":"Not Found"}`)
	}
	empty := newServer(t, func(o *options) { o.handlers.AdminToken = func() []byte { return nil } })
	empty.admin(t, http.MethodPost, "/sessions/end", `{"sub":"x"}`, "Authorization: Bearer ").wants(t, http.StatusUnauthorized, unauthorized)
}

func TestTheAdminCallTakesNothingItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	s := newServer(t, withAdmin(session.ModeCookie))
	for name, body := range map[string]string{
		"nothing":            "",
		"no object":          `"sub"`,
		"a list":             `["sub"]`,
		"null":               "null",
		"an empty object":    "{}",
		"an unknown field":   `{"sub":"a","all":true}`,
		"only an unknown":    `{"user":"a"}`,
		"other letters":      `{"SUB":"a"}`,
		"a sub twice":        `{"sub":"a","sub":"b"}`,
		"an empty sub":       `{"sub":""}`,
		"an empty sid":       `{"sub":"a","sid":""}`,
		"a number":           `{"sub":7}`,
		"null within":        `{"sub":null}`,
		"an object within":   `{"sub":{"a":"b"}}`,
		"a list within":      `{"sub":["a"]}`,
		"an endless sub":     `{"sub":"` + strings.Repeat("a", 256) + `"}`,
		"two objects":        `{"sub":"a"}{"sub":"b"}`,
		"something behind":   `{"sub":"a"} x`,
		"without its end":    `{"sub":"a"`,
		"without a value":    `{"sub"}`,
		"a form":             "sub=a",
		"a comma at the end": `{"sub":"a",}`,
	} {
		a := s.endSessions(t, body)
		if a.status != http.StatusBadRequest || a.body != `{"error":"Bad Request"}` {
			t.Errorf("%s: got %d %s, want 400", name, a.status, a.body)
		}
	}
	if a := s.endSessions(t, `{"sub":"`+strings.Repeat("a", 8<<10)+`"}`); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("8 kB: got %d, want 413", a.status)
	}
	if strings.Contains(s.logs.String(), "ended by an operator") {
		t.Error("the log tells of sessions that ended")
	}
}

func TestTheAdminCallSaysWhenTheCacheDidNotTakeIt(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			store := &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{Now: clock.Now})}
			s := newServer(t, func(o *options) {
				withAdmin(mode)(o)
				o.clock, o.session.Store = clock, store
			})
			b := s.browser(t)
			b.signIn()
			sub, _ := b.who()
			store.SetDown(true)
			a := s.endSessions(t, `{"sub":"`+sub+`"}`)
			a.wants(t, http.StatusServiceUnavailable, notAvailable)
			if a.header.Get("Retry-After") == "" || strings.Contains(s.logs.String(), "ended by an operator") {
				t.Error("no Retry-After, or the log says that it is done")
			}
			store.SetDown(false)
			s.endSessions(t, `{"sub":"`+sub+`"}`).wants(t, http.StatusNoContent, "")
			b.alive("after asking again", false)
		})
	}
}
