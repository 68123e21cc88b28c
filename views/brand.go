package views

import (
	"errors"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	defaultBrandName = "Vestibule"
	maxBrandName     = 64       // characters
	maxLogo          = 32 << 10 // bytes; a data: logo is sent with every page
)

var (
	// ErrBrandName says that a brand's name is longer than 64 characters or holds control characters.
	ErrBrandName = errors.New("want at most 64 printable characters")
	// ErrLogo says that a logo is none of the forms that the pages can load.
	ErrLogo = errors.New(`want a path ("/logo.svg"), an https URL, or a data:image/ URL in base64, of at most 32 KiB`)
)

// Brand is the application that the pages speak for. Its colour is in the style sheet: see static.Config.
type Brand struct {
	// Name is shown in the header, in titles and in sentences; "Vestibule" where empty.
	Name string
	// Logo is a path on this host ("/logo.svg"), an https URL or a base64 data:image/ URL; Vestibule's mark where empty.
	Logo string
}

// logo is a picture and the content security policy source that lets it load.
type logo struct {
	src    string
	source string // "" where 'self' covers it
}

// brandName applies the default and bounds the name.
func brandName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return defaultBrandName, nil
	}
	// Format characters include the overrides of text direction, which would let a name reorder the sentence around it.
	unprintable := strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) })
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxBrandName || unprintable {
		return "", ErrBrandName
	}
	return name, nil
}

// parseLogo decides how the logo is loaded. The image's source is written into the page and its origin into a header,
// so both are kept to forms that can carry nothing else.
func parseLogo(s, mark string) (logo, error) {
	switch {
	case s == "":
		return logo{src: mark}, nil
	case len(s) > maxLogo || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`\"<>`, r) }):
		return logo{}, ErrLogo
	case strings.HasPrefix(s, "data:"):
		return dataLogo(s)
	case strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//"):
		return logo{src: s}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.User != nil {
		return logo{}, ErrLogo
	}
	origin, ok := sourceOf(s, "https")
	if !ok {
		return logo{}, ErrLogo
	}
	return logo{src: s, source: origin}, nil
}

func dataLogo(s string) (logo, error) {
	kind, _, ok := strings.Cut(strings.TrimPrefix(s, "data:"), ";base64,")
	if ok {
		switch kind {
		case "image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif":
			return logo{src: s, source: "data:"}, nil
		}
	}
	return logo{}, ErrLogo
}
