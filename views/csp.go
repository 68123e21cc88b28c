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
	// Scripts lets the page's own module run and call its own host; only the demo's page has one.
	Scripts bool
}

// CSP is the Content-Security-Policy of a page. It allows no inline style and no inline script, no framing, and
// nothing from elsewhere but the brand's logo.
func (v *Views) CSP(p PagePolicy) string {
	directives := []string{
		"default-src 'none'",
		"style-src 'self'",
		strings.TrimSuffix("img-src 'self' "+v.logo.source, " "),
		"font-src 'self'",
		"base-uri 'none'",
		"form-action " + strings.Join(formTargets(p.FormAction), " "),
		"frame-ancestors 'none'",
	}
	if p.Scripts {
		directives = append(directives, "script-src 'self'", "connect-src 'self'",
			"require-trusted-types-for 'script'", "trusted-types 'none'")
	}
	return strings.Join(directives, "; ")
}

// formTargets is 'self' and every distinct origin among the given URLs, in their order.
func formTargets(urls []string) []string {
	targets := []string{"'self'"}
	for _, u := range urls {
		if source, ok := sourceOf(u); ok && !slices.Contains(targets, source) {
			targets = append(targets, source)
		}
	}
	return targets
}

// sourceOf reduces a URL to its origin as a CSP source expression. A host with a character that could end the
// directive, or widen it as "*" does, is none.
func sourceOf(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
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
