package handlers_test

import (
	"os"
	"strings"
	"testing"
)

// docs/endpoints.md is written by people; this keeps it from forgetting a route.
func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/endpoints.md")
	must(t, err)
	for _, r := range newServer(t, nil).web.Routes() {
		path := strings.Replace(r.Path, "/api/auth/", "{auth}/", 1)
		if !strings.Contains(string(page), path) {
			t.Errorf("%s is not in docs/endpoints.md", r.Path)
		}
	}
}
