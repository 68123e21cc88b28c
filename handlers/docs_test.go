package handlers_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vestibule/session"
)

// docs/endpoints.md is written by people; this keeps it from forgetting a route.
func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/endpoints.md")
	must(t, err)
	for _, r := range newServer(t, withAllRoutes).web.Routes() {
		methods := slices.DeleteFunc(slices.Clone(r.Methods), func(m string) bool { return m == http.MethodHead || m == http.MethodOptions })
		if slices.Contains(methods, http.MethodDelete) {
			methods = []string{"any"}
		}
		for _, method := range methods {
			path := strings.Replace(r.Path, "/api/auth/", "{auth}/", 1)
			if !documents(string(page), method+" "+path) {
				t.Errorf("%s %s is not in docs/endpoints.md", method, r.Path)
			}
		}
	}
}

// withAllRoutes serves all that is not the demo's alone.
func withAllRoutes(o *options) {
	withMachines(o)
	o.session.Mode = session.ModeServer
	o.base = "/app"
}

// documents says whether the page names the route, and not merely a longer one that begins as it does.
func documents(page, route string) bool {
	return regexp.MustCompile("`" + regexp.QuoteMeta(route) + "[`?]").MatchString(page)
}

func TestALongerRouteDoesNotDocumentAShorterOne(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]bool{
		"| `GET {auth}/sign-in-callback` |":   false,
		"| `GET {auth}/sign-in/more` |":       false,
		"| `POST {auth}/sign-in` |":           false,
		"| `GET {auth}/sign-in` |":            true,
		"| `GET {auth}/sign-in?returnTo=` |":  true,
		"| `GET /x`, `GET {auth}/sign-in` |":  true,
		"| GET {auth}/sign-in without code |": false,
	} {
		if got := documents(page, "GET {auth}/sign-in"); got != want {
			t.Errorf("%s: got %v, want %v", page, got, want)
		}
	}
}
