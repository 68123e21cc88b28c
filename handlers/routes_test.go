package handlers_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vestibule/handlers"
	"vestibule/machine"
	"vestibule/session"
	"vestibule/web"
)

var update = flag.Bool("update", false, "write the golden files anew")

func home(*handlers.Handlers) handlers.Handler {
	return func(x *handlers.Exchange) error { return x.String(http.StatusOK, "home") }
}

func withEverything(o *options) {
	o.handlers.CSRFHeader = "X-CSRF"
	o.web.Home = home(nil)
	o.web.Burst = &web.Burst{Page: home(nil), Send: home(nil)}
	o.machine = &machine.Config{}
	o.session.Mode = session.ModeServer
}

// printed is the table as people read it.
func printed(table []web.Route) string {
	forms := map[handlers.Form]string{handlers.FormAny: "any", handlers.FormJSON: "json", handlers.FormTMI: "tmi", handlers.FormPage: "page", handlers.FormOAuth: "oauth", handlers.FormEither: "both"}
	guards := map[handlers.Guard]string{handlers.GuardNone: "-", handlers.GuardSameSite: "same-site", handlers.GuardLink: "same-site|link", handlers.GuardToken: "same-site+header"}
	var b strings.Builder
	for _, r := range table {
		session := "-"
		if r.Session {
			session = "session"
		}
		fmt.Fprintf(&b, "%-32s %-37s %-5s %-17s %s\n", r.Path, strings.Join(r.Methods, ","), forms[r.Form], guards[r.Guard], session)
	}
	return b.String()
}

// A new or changed row must be meant: the table is what the world can reach.
func TestTheRouteTableIsTheOneThatWasMeant(t *testing.T) {
	t.Parallel()
	for file, change := range map[string]func(*options){
		"routes.golden":              withEverything,
		"routes_below_a_path.golden": func(o *options) { o.base = "/app" },
	} {
		got := printed(newServer(t, change).web.Routes())
		golden := filepath.Join("testdata", file)
		if *update {
			must(t, os.MkdirAll("testdata", 0o755))
			must(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		must(t, err)
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s\nif that is meant: go test ./handlers -run RouteTable -update", file, got, want)
		}
	}
}

// A row is covered by being written: what it demands is left out here, one by one.
func TestEveryRowRefusesWhoLacksWhatItDemands(t *testing.T) {
	t.Parallel()
	s := newServer(t, withEverything)
	b := s.browser(t)
	b.signIn()
	guarded := 0
	for _, row := range s.web.Routes() {
		for _, method := range row.Methods {
			if row.Session {
				a := s.stranger(t).send(method, row.Path, "", "X-CSRF: 1")
				want := http.StatusUnauthorized
				if row.Form == handlers.FormTMI {
					want = http.StatusBadRequest
				}
				if a.status != want {
					t.Errorf("%s %s without a cookie: got %d, want %d", method, row.Path, a.status, want)
				}
				guarded++
			}
			if row.Guard != handlers.GuardNone {
				for _, header := range []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example", "Origin: null"} {
					if a := b.send(method, row.Path, "", "X-CSRF: 1", header); a.status != http.StatusForbidden {
						t.Errorf("%s %s with %s: got %d, want 403", method, row.Path, header, a.status)
					}
				}
			}
			if row.Guard == handlers.GuardToken {
				if a := b.send(method, row.Path, ""); a.status != http.StatusForbidden {
					t.Errorf("%s %s without the demanded header: got %d, want 403", method, row.Path, a.status)
				}
			}
		}
	}
	if guarded == 0 {
		t.Error("no row demands a session: this proves nothing")
	}
}

// Every row knows its methods and no other, and answers OPTIONS with them.
func TestEveryRowKnowsItsMethodsOnly(t *testing.T) {
	t.Parallel()
	s := newServer(t, withEverything)
	s.browser(t).signIn() // or readiness would say no
	stranger := s.stranger(t)
	for _, row := range s.web.Routes() {
		path := strings.Replace(row.Path, "*", "app.css", 1)
		allow := stranger.send("FOO", path, "").header.Get("Allow")
		own := slices.Contains(row.Methods, http.MethodOptions)
		options := stranger.send(http.MethodOptions, path, "")
		if !own && (options.status != http.StatusNoContent || options.header.Get("Allow") != allow || allow == "") {
			t.Errorf("OPTIONS %s: got %d, Allow %q, want 204 and %q", path, options.status, options.header.Get("Allow"), allow)
		}
		if own && options.status != http.StatusUnauthorized {
			t.Errorf("OPTIONS %s without a session: got %d, want 401", path, options.status)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"} {
			known := row.AnyMethod || strings.Contains(strings.Join(row.Methods, " ")+" ", method+" ")
			a := stranger.send(method, path, "")
			if (a.status == http.StatusMethodNotAllowed) == known {
				t.Errorf("%s %s: got %d, known %v", method, path, a.status, known)
			}
			if a.status >= 500 {
				t.Errorf("%s %s: got %d", method, path, a.status)
			}
			if !known && a.header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow %q, want %q", method, path, a.header.Get("Allow"), allow)
			}
		}
	}
}

func TestWhatIsNotOursIsNotFound(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	stranger := s.stranger(t)
	for _, path := range []string{"/", "/nothing", "/metrics", "/api/auth", "/api/auth/nothing", "/api/cognito-token/x", "/static/nothing.css", "/static/../login", "/api/auth/sign-in-callback/x", "/%2e%2e/login", "//login", "/LOGIN", "/devidp/stats"} {
		a := stranger.get(path)
		if a.status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, a.status)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q, want no-store", path, a.header.Get("Cache-Control"))
		}
	}
	stranger.get("/nothing").wants(t, http.StatusNotFound, `{"error":"Not Found"}`)
	page := stranger.get("/nothing", "Accept: text/html,*/*")
	if !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || page.status != http.StatusNotFound {
		t.Errorf("for a person: got %d %q, want a page", page.status, page.header.Get("Content-Type"))
	}
}

func TestProbes(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	stranger := s.stranger(t)
	stranger.get("/healthz").wants(t, http.StatusOK, `{"status":"ok"}`)
	stranger.get("/readyz").wants(t, http.StatusServiceUnavailable, `{"status":"unavailable","reason":"provider"}`)
	s.browser(t).signIn()
	stranger.get("/readyz").wants(t, http.StatusOK, `{"status":"ready"}`)
}
