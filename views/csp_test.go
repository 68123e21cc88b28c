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
		"the demo's page": {"", views.PagePolicy{Scripts: true}, least + "; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := newViews(t, views.Brand{Logo: tt.logo}).CSP(tt.policy); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func FuzzCSPFormAction(f *testing.F) {
	for _, seed := range []string{"https://id.example.com", "https://a;b", "http://[::1]", "https://a\r\nSet-Cookie: x", "https://*"} {
		f.Add(seed)
	}
	v := newViews(f, views.Brand{})
	plain := v.CSP(views.PagePolicy{})
	f.Fuzz(func(t *testing.T, target string) {
		got := v.CSP(views.PagePolicy{FormAction: []string{target}})
		added := strings.Replace(got, "form-action 'self' http", "form-action 'self'; http", 1)
		if got == plain {
			return
		}
		if added == got || strings.Count(got, ";") != strings.Count(plain, ";") || strings.Count(got, " ") != strings.Count(plain, " ")+1 || strings.ContainsAny(got, "*,\r\n\x00") {
			t.Errorf("target %q: got %q", target, got)
		}
	})
}
