package upstream_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"vestibule/upstream"
)

// The application sees who asks in headers that are added here; a cache in front of us sees the cookie alone.
func TestWhatVariesByIdentityVariesByCookie(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sent, want []string }{
		"by the token":             {[]string{"Authorization"}, []string{"Authorization", "Cookie"}},
		"by a header of ours":      {[]string{"rsc, X-AUTH-REQUEST-EMAIL"}, []string{"rsc, X-AUTH-REQUEST-EMAIL", "Cookie"}},
		"in a second line":         {[]string{"rsc", "remote_user"}, []string{"rsc", "remote_user", "Cookie"}},
		"by the cookie already":    {[]string{"Authorization ,cookie"}, []string{"Authorization ,cookie"}},
		"by the cookie, elsewhere": {[]string{"Cookie", "Authorization"}, []string{"Cookie", "Authorization"}},
		"by everything":            {[]string{"Authorization", "*"}, []string{"Authorization", "*"}},
		"by something else":        {[]string{"Accept-Encoding, Proxy-Authorization"}, []string{"Accept-Encoding, Proxy-Authorization"}},
		"by nothing":               {nil, nil},
	} {
		for who, visitor := range map[string]upstream.Visitor{"signed out": {}, "signed in": signedIn()} {
			t.Run(name+", "+who, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, &seen{header: http.Header{"Vary": c.sent}}, func(o *options) { o.visitor = visitor })
				if res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n"); !slices.Equal(res.Header["Vary"], c.want) {
					t.Errorf("got %q, want %q", res.Header["Vary"], c.want)
				}
			})
		}
	}
}

// RFC 9111, section 3.5: a shared cache that saw the Authorization which is added here would store only what says that it may.
func TestSharedCachesKeepWhatTheyWouldKeepWithTheTokenInView(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"":                                 "private",
		"max-age=60":                       "private, max-age=60",
		"no-cache|max-age=60":              "private, no-cache, max-age=60",
		`private="Set-Cookie, public, X"`:  `private, private="Set-Cookie, public, X"`,
		`a="\", public, b", max-age=60`:    `private, a="\", public, b", max-age=60`,
		`a="never closed`:                  `private, a="never closed`,
		"publicly":                         "private, publicly",
		"Public, max-age=31536000":         "Public, max-age=31536000",
		"max-age=0,MUST-REVALIDATE":        "max-age=0,MUST-REVALIDATE",
		"max-age=1|s-maxage=60":            "max-age=1|s-maxage=60",
		"private, no-cache, max-age=0":     "private, no-cache, max-age=0",
		"no-store":                         "no-store",
		`private="Set-Cookie", s-maxage=1`: `private="Set-Cookie", s-maxage=1`,
	} {
		t.Run(sent, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			if sent != "" {
				header["Cache-Control"] = strings.Split(sent, "|")
			}
			for _, visitor := range []upstream.Visitor{signedIn(), {Bearer: "t"}, {Identity: signedIn().Identity}} {
				h := newHouse(t, &seen{header: header}, func(o *options) { o.visitor = visitor })
				res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n")
				if got := strings.Join(res.Header["Cache-Control"], "|"); got != want || res.Header["Vary"] != nil {
					t.Errorf("got %q and Vary %q, want %q and none: a file is the same for everybody", got, res.Header["Vary"], want)
				}
			}
			h := newHouse(t, &seen{header: header}, nil)
			res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n")
			if got := strings.Join(res.Header["Cache-Control"], "|"); got != sent {
				t.Errorf("signed out: got %q, want %q", got, sent)
			}
		})
	}
}
