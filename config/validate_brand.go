package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxBrandName = 64       // characters
	maxLogo      = 32 << 10 // bytes; a data: logo is sent with every page
)

// brand has the rules of the pages, so that what they would refuse is said with everything else; a test holds the two
// together.
func (c *checker) brand() {
	b := c.Brand
	if !isBrandName(b.Name) {
		c.fault("brand.name", "is not at most 64 printable characters", "shorten it, and leave out what cannot be seen")
	}
	if b.Logo != "" && !isLogo(b.Logo) {
		c.fault("brand.logo", "is neither a path, an https URL nor a data:image/ URL in base64, of at most 32 KiB", "write it as /logo.svg or https://…")
	}
	if b.Accent != "" && !regexp.MustCompile(`^#([0-9A-Fa-f]{3}){1,2}$`).MatchString(b.Accent) {
		c.fault("brand.accent", "is not a colour", "write #rgb or #rrggbb")
	}
}

// isBrandName refuses format characters too: some turn the direction of the text around them.
func isBrandName(text string) bool {
	unprintable := strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) })
	return utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxBrandName && !unprintable
}

func isLogo(text string) bool {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`\"<>`, r) }
	switch {
	case len(text) > maxLogo || strings.ContainsFunc(text, odd):
		return false
	case strings.HasPrefix(text, "/"):
		return !strings.HasPrefix(text, "//") // which names another host
	case strings.HasPrefix(text, "data:"):
		kind, _, encoded := strings.Cut(strings.TrimPrefix(text, "data:"), ";base64,")
		return encoded && slices.Contains([]string{"image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"}, kind)
	}
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.User == nil && u.Opaque == "" && u.Hostname() != "" && isPolicyHost(u.Host)
}

// isPolicyHost refuses hosts that would end or widen the content security policy that names them.
func isPolicyHost(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._:[]", r) })
}
