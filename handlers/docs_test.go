package handlers_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/endpoints.md is written by people; this keeps it from forgetting a route.
func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/endpoints.md")
	must(t, err)
	for _, r := range newServer(t, nil).web.Routes() {
		for _, method := range r.Methods {
			path := strings.Replace(r.Path, "/api/auth/", "{auth}/", 1)
			if method != "HEAD" && !documents(string(page), method+" "+path) {
				t.Errorf("%s %s is not in docs/endpoints.md", method, r.Path)
			}
		}
	}
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
