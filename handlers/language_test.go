package handlers_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"testing"
)

// Whoever chose a language on our page finds it again on the provider's.
func TestTheLanguageOfTheLoginPageGoesOnToTheProvider(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, row := range []struct{ name, query, want string }{
		{"chosen", "?lang=ja", "ja"},
		{"chosen, with a place to return to", "?returnTo=%2Fa%3Fb%3D1%26c%3D2&lang=ja", "ja"},
		{"a relative of one of ours", "?lang=pt-PT", "pt-BR"},
		{"not chosen: the browser tells the provider itself", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := s.browser(t)
			page := b.get("/login"+row.query, "Accept-Language: id")
			for _, name := range []string{"sign-in", "sign-up"} {
				m := regexp.MustCompile(`href="(/api/auth/` + name + `[^"]*)"`).FindStringSubmatch(page.body)
				if page.status != http.StatusOK || m == nil {
					t.Fatalf("got %d without a link to %s", page.status, name)
				}
				link, err := url.Parse(html.UnescapeString(m[1]))
				must(t, err)
				asked, err := url.Parse(row.query)
				must(t, err)
				if got := link.Query(); got.Get("lang") != row.want || got.Get("returnTo") != asked.Query().Get("returnTo") || len(got["lang"]) > 1 {
					t.Errorf("the link is %s, want lang %q and the returnTo of %q", link, row.want, row.query)
				}
				to, err := url.Parse(b.begin(link.String()))
				must(t, err)
				if got := to.Query()["lang"]; (row.want == "") != (len(got) == 0) || row.want != "" && got[0] != row.want {
					t.Errorf("%s: the provider is asked for %q, want %q", name, got, row.want)
				}
			}
		})
	}
}
