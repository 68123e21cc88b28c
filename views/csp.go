package views

import (
	"net/url"
	"slices"
	"strings"
)

// PagePolicy says what one page needs beyond the least.
type PagePolicy struct {
	// FormAction are further origins (any URL of them will do) that a form's answer may lead to. Chromium holds every redirect
	// after a form to form-action, so a page whose form signs out names the provider here: ConfirmSignOut, Demo, and
	// Login while somebody is signed in. Whatever is not an http or https URL is left out.
	FormAction []string
	// FramedBy are origins (any URL of them will do) whose pages may frame this one; none: nobody may.
	FramedBy []string
	// Scripts lets the page's own module run and call its own host; only the demo's page has one.
	Scripts bool
	// Connect are further origins (any URL of them will do) that the page's module may call, sockets included: http, https, ws and
	// wss, each an origin of its own here. Whatever else is left out. It means nothing without Scripts.
	Connect []string
}

// CSP is the Content-Security-Policy of a page. It allows no inline style and no inline script, no framing unless the page wants it, and
// nothing from elsewhere but the brand's logo.
func (v *Views) CSP(p PagePolicy) string {
	directives := []string{
		"default-src 'none'",
		"style-src 'self'",
		strings.TrimSuffix("img-src 'self' "+v.logo.source, " "),
		"font-src 'self'",
		"base-uri 'none'",
		"form-action " + targets(p.FormAction, "https", "http"),
		"frame-ancestors " + framers(p.FramedBy),
	}
	if p.Scripts {
		directives = append(directives, "script-src 'self'", "connect-src "+targets(p.Connect, "https", "http", "wss", "ws"),
			"require-trusted-types-for 'script'", "trusted-types 'none'")
	}
	return strings.Join(directives, "; ")
}

// framers is every distinct origin among the given URLs, or 'none'.
func framers(urls []string) string {
	if sources := strings.TrimPrefix(targets(urls, "https", "http"), "'self'"); sources != "" {
		return strings.TrimPrefix(sources, " ")
	}
	return "'none'"
}

// targets is 'self' and every distinct origin among the given URLs that has one of the schemes, in their order.
func targets(urls []string, schemes ...string) string {
	sources := []string{"'self'"}
	for _, u := range urls {
		if source, ok := sourceOf(u, schemes...); ok && !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	return strings.Join(sources, " ")
}

// sourceOf reduces a URL to its origin as a CSP source expression. A host with a character that could end the
// directive, or widen it as "*" does, is none.
func sourceOf(s string, schemes ...string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) {
		return "", false
	}
	foreign := func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		digit := '0' <= r && r <= '9'
		return !letter && !digit && !strings.ContainsRune("-._:[]", r)
	}
	if strings.ContainsFunc(u.Host, foreign) {
		return "", false
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), true
}
