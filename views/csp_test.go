package views_test

import (
	"strings"
	"testing"

	"vestibule/views"
)

func TestCSPAllowsNoMoreThanThePageNeeds(t *testing.T) {
	const least = "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	tests := map[string]struct {
		logo   string
		policy views.PagePolicy
		want   string
	}{
		"a plain page":        {"", views.PagePolicy{}, least},
		"a logo of ours":      {"/logo.svg", views.PagePolicy{}, least},
		"a logo elsewhere":    {"https://CDN.example.com:8443/a/logo.svg", views.PagePolicy{}, strings.Replace(least, "img-src 'self'", "img-src 'self' https://cdn.example.com:8443", 1)},
		"a logo in the page":  {"data:image/gif;base64,R0lGOD==", views.PagePolicy{}, strings.Replace(least, "img-src 'self'", "img-src 'self' data:", 1)},
		"a form that goes on": {"", views.PagePolicy{FormAction: []string{"https://id.example.com/logout?client_id=1", "http://localhost:9000"}}, strings.Replace(least, "form-action 'self'", "form-action 'self' https://id.example.com http://localhost:9000", 1)},
		"the same origin twice": {"", views.PagePolicy{FormAction: []string{"https://id.example.com/a", "https://id.example.com/b"}},
			strings.Replace(least, "form-action 'self'", "form-action 'self' https://id.example.com", 1)},
		"an IPv6 origin": {"", views.PagePolicy{FormAction: []string{"http://[::1]:9000/"}}, strings.Replace(least, "form-action 'self'", "form-action 'self' http://[::1]:9000", 1)},
		"origins that are none": {"", views.PagePolicy{FormAction: []string{"", "*", "https:", "https://*", "'unsafe-inline'", "javascript:x",
			"https://a.example;script-src", "https://a.example script-src", "https://a.example,b", "https://u@", "data:x", "//x"}}, least},
		"a page that others frame": {"", views.PagePolicy{FramedBy: []string{"https://id.example.com/logout?x", "https://id.example.com", "http://localhost:9000/pool"}},
			strings.Replace(least, "frame-ancestors 'none'", "frame-ancestors https://id.example.com http://localhost:9000", 1)},
		"framing by nobody that is one": {"", views.PagePolicy{FramedBy: []string{"", "*", "https://*", "'self'", "data:x", "https://a.example *"}}, least},
		"the demo's page":               {"", views.PagePolicy{Scripts: true}, least + "; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"},
		"a script that opens a socket": {"", views.PagePolicy{Scripts: true, Connect: []string{"ws://127.0.0.1:9000/event/realtime", "wss://[::1]:9000/a?b", "http://127.0.0.1:9000/event", "ws://127.0.0.1:9000"}},
			least + "; script-src 'self'; connect-src 'self' ws://127.0.0.1:9000 wss://[::1]:9000 http://127.0.0.1:9000; require-trusted-types-for 'script'; trusted-types 'none'"},
		"connections that are none": {"", views.PagePolicy{Scripts: true, Connect: []string{"", "*", "ws:", "ws://*", "ws://*:80", "data:x", "blob:x", "'unsafe-inline'", "ftp://a.example", "ws://a.example;script-src", "wss://a.example *", "//x"}},
			least + "; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"},
		"connections without a script": {"", views.PagePolicy{Connect: []string{"wss://a.example"}}, least},
		"a form that goes to a socket": {"", views.PagePolicy{FormAction: []string{"ws://a.example", "wss://a.example"}}, least},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := newViews(t, views.Brand{Logo: tt.logo}).CSP(tt.policy); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func FuzzCSPOrigins(f *testing.F) {
	for _, seed := range []string{"https://id.example.com", "https://a;b", "http://[::1]", "https://a\r\nSet-Cookie: x", "https://*", "ws://[::1]:9", "wss://a *"} {
		f.Add(seed)
	}
	v := newViews(f, views.Brand{})
	plain := v.CSP(views.PagePolicy{Scripts: true})
	f.Fuzz(func(t *testing.T, target string) {
		for directive, policy := range map[string]views.PagePolicy{
			"form-action": {Scripts: true, FormAction: []string{target}},
			"connect-src": {Scripts: true, Connect: []string{target}},
		} {
			got := v.CSP(policy)
			before, after, _ := strings.Cut(got, directive+" 'self'")
			added := after[:strings.IndexByte(after, ';')]
			if before+directive+" 'self'"+strings.TrimPrefix(after, added) != plain || strings.Count(added, " ") > 1 || strings.ContainsAny(added, "*,\r\n\x00") {
				t.Errorf("%s for %q: got %q", directive, target, got)
			}
		}
	})
}
