package handlers_test

import (
	"cmp"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vestibule/idp/devidp"
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

// link gives the address on a page that leads to a path, or that a form of it is sent to.
func (a answer) link(t *testing.T, path string) *url.URL {
	t.Helper()
	m := regexp.MustCompile(`(?:href|action)="(` + regexp.QuoteMeta(path) + `(?:\?[^"]*)?)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("got %d without a link to %s:\n%s", a.status, path, a.body)
	}
	to, err := url.Parse(html.UnescapeString(m[1]))
	must(t, err)
	return to
}

// speaks checks what a page is written in.
func (a answer) speaks(t *testing.T, tag string) {
	t.Helper()
	if !strings.Contains(a.body, `<html lang="`+tag+`"`) {
		t.Errorf("got %d %.60q, want a page in %s", a.status, a.body, tag)
	}
}

// A page that says what went wrong is worth nothing to who cannot read it, and it offers no choice of languages.
func TestTheChosenLanguageLastsWhenASignInFails(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for name, c := range map[string]struct {
		query, page string
		again       url.Values
	}{
		"chosen":                         {"?lang=ja", "ja", url.Values{"lang": {"ja"}}},
		"a relative of one of ours":      {"?lang=pt-PT", "pt-BR", url.Values{"lang": {"pt-BR"}}},
		"with all that can be asked for": {"?returnTo=/a%3Fb%3D1&lang=ja&provider=my%20idp%26x&login_hint=alice%40example.com&prompt=login", "ja", url.Values{"returnTo": {"/a?b=1"}, "lang": {"ja"}, "provider": {"my idp&x"}}},
		"a provider alone":               {"?provider=google", "id", url.Values{"provider": {"google"}}},
		"a provider too long to be one":  {"?lang=ja&provider=" + strings.Repeat("x", 129), "ja", url.Values{"lang": {"ja"}}},
		"one that we do not speak":       {"?lang=de", "id", url.Values{}},
		"no language":                    {"?lang=%3Cscript%3E", "id", url.Values{}},
		"not chosen":                     {"", "id", url.Values{}},
	} {
		for failure, answered := range map[string]string{
			"at the provider": "error=access_denied", "at the exchange": "code=unknown", "another issuer": "code=x&iss=https://evil.example",
		} {
			t.Run(name+", "+failure, func(t *testing.T) {
				t.Parallel()
				b := s.browser(t)
				sent, err := url.Parse(b.begin("/api/auth/sign-in" + c.query))
				must(t, err)
				a := b.get("/api/auth/sign-in-callback?"+answered+"&state="+sent.Query().Get("state"), "Accept-Language: id")
				refusedCallback(t, b, a, http.StatusBadRequest)
				a.speaks(t, c.page)
				if got := a.link(t, "/api/auth/sign-in").Query(); !maps.EqualFunc(got, c.again, slices.Equal) {
					t.Errorf("to try again leads to %v, want %v", got, c.again)
				}
			})
		}
	}
}

func TestTheChosenLanguageLastsWhereASignInCannotBegin(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.faults(t, devidp.Faults{Discovery: devidp.Fault{Status: 500}})
	a := s.browser(t).get("/api/auth/sign-in?returnTo=/a&provider=google&login_hint=alice&lang=ja")
	if a.status != http.StatusServiceUnavailable {
		t.Fatalf("got %d, want 503", a.status)
	}
	a.speaks(t, "ja")
	if got, want := a.link(t, "/api/auth/sign-in").RawQuery, "returnTo=%2Fa&provider=google&lang=ja"; got != want {
		t.Errorf("to try again leads to %q, want %q", got, want)
	}
}

func TestThePageThatMovesOnIsInTheChosenLanguage(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.session.SameSite = http.SameSiteStrictMode })
	b := s.browser(t)
	b.get(b.atProvider(b.begin("/api/auth/sign-in?lang=ja"))).speaks(t, "ja")
}

// The provider compares the address of the sign-out callback as a whole: the language must not be in it.
func TestTheChosenLanguageLastsThroughASignOut(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	plain := func() string {
		b := s.browser(t)
		b.signIn()
		return b.post("/api/auth/sign-out", nil).location()
	}()
	for name, c := range map[string]struct {
		ask  func(*browser) answer
		want string // "": none was chosen
	}{
		"in the query":         {func(b *browser) answer { return b.get("/api/auth/sign-out?lang=ja") }, "ja"},
		"in a form's query":    {func(b *browser) answer { return b.post("/api/auth/sign-out?lang=ja", nil) }, "ja"},
		"in the form":          {func(b *browser) answer { return b.post("/api/auth/sign-out", url.Values{"lang": {"pt-PT"}}) }, "pt-BR"},
		"in both":              {func(b *browser) answer { return b.post("/api/auth/sign-out?lang=ja", url.Values{"lang": {"id"}}) }, "ja"},
		"on all devices":       {func(b *browser) answer { return b.post("/api/auth/sign-out?lang=ja", url.Values{"everywhere": {"on"}}) }, "ja"},
		"one we do not speak":  {func(b *browser) answer { return b.post("/api/auth/sign-out?lang=de", nil) }, ""},
		"the button of /login": {func(b *browser) answer { return b.pressSignOut(t, b.get("/login?lang=ja")) }, "ja"},
		"the page that asks": {func(b *browser) answer {
			return b.pressSignOut(t, b.get("/api/auth/sign-out?lang=ja", "Sec-Fetch-Site: cross-site"))
		}, "ja"},
		"not chosen, on /login":  {func(b *browser) answer { return b.pressSignOut(t, b.get("/login", "Accept-Language: ja")) }, ""},
		"not chosen, everywhere": {func(b *browser) answer { return b.pressSignOut(t, b.get("/api/auth/sign-out?everywhere=1")) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := s.browser(t)
			b.signIn()
			out := c.ask(b)
			if out.status != http.StatusSeeOther || out.location() != plain {
				t.Fatalf("got %d %q, want 303 to %q, as without a language", out.status, out.location(), plain)
			}
			if note := out.sets(s.cookie + ".o"); (note != nil) != (c.want != "") {
				t.Errorf("note %v, want one where something was chosen", note)
			}
			page := b.get(s.followLogout(t, out.location()), "Accept-Language: zh-CN")
			page.speaks(t, cmp.Or(c.want, "zh-CN"))
			if got := page.link(t, "/api/auth/sign-in").Query().Get("lang"); got != c.want {
				t.Errorf("to sign in again asks for %q, want %q", got, c.want)
			}
			b.get("/api/auth/sign-out-callback", "Accept-Language: zh-CN").speaks(t, "zh-CN")
		})
	}
}

// pressSignOut sends the page's form that signs out.
func (b *browser) pressSignOut(t *testing.T, page answer) answer {
	t.Helper()
	return b.post(page.link(t, "/api/auth/sign-out").String(), nil)
}

func TestASignOutThatLeadsElsewhereDoesSoInAnyLanguage(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	out := b.post("/api/auth/sign-out?lang=ja&returnTo=/bye", nil)
	if back := b.get(s.followLogout(t, out.location())); back.location() != "/bye" {
		t.Errorf("got %d %q, want /bye", back.status, back.location())
	}
}

func TestAFailedSignOutIsToldInTheChosenLanguage(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	a := b.post("/api/auth/sign-out", url.Values{"lang": {"ja"}, "everywhere": {"perhaps"}})
	if a.status != http.StatusBadRequest {
		t.Fatalf("got %d, want 400", a.status)
	}
	a.speaks(t, "ja")
}

func TestTheChosenLanguageLastsFromTheListOfSessionsToTheSignOut(t *testing.T) {
	t.Parallel()
	s := newServer(t, inServerMode)
	b := s.browser(t)
	b.signIn()
	page := b.get(sessionsPath+"?lang=ja", asPage)
	if got := page.link(t, "/api/auth/sign-out").RawQuery; got != "lang=ja" {
		t.Errorf("the buttons that sign out ask for %q, want lang=ja", got)
	}
	own := b.sessions()[0].ID
	ended := b.post(sessionsPath+"?lang=ja", url.Values{"end": {own}}, asPage)
	if ended.location() != "/api/auth/sign-out-callback?lang=ja" {
		t.Fatalf("got %d %q, want 303 to the signed-out page", ended.status, ended.location())
	}
	out := b.get(ended.location())
	out.speaks(t, "ja")
	if got := out.link(t, "/api/auth/sign-in").Query().Get("lang"); got != "ja" {
		t.Errorf("to sign in again asks for %q, want ja", got)
	}
}
