package config

import (
	"net/netip"
	"net/url"
	"strings"
)

// Public is public_url parsed: host in lower case, default port dropped, no trailing
// slash. It is the empty URL when public_url is faulty.
func (c *Config) Public() *url.URL {
	u, err := parseSafeURL(c.PublicURL)
	if err != nil {
		return new(url.URL)
	}
	return &url.URL{Scheme: u.Scheme, Host: canonicalHost(u), Path: strings.TrimSuffix(u.Path, "/")}
}

// BasePath is the path of public_url, empty or with a leading slash and no trailing one.
func (c *Config) BasePath() string { return c.Public().Path }

// Secure reports whether browsers reach us by https, so that cookies are Secure.
func (c *Config) Secure() bool { return c.Public().Scheme == "https" }

// Application is app.url parsed; nil when it is not set or faulty.
func (c *Config) Application() *url.URL {
	u, err := parseURL(c.App.URL)
	if c.App.URL == "" || err != nil {
		return nil
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}
}

// AmplifyCookieDomain is session.amplify_domain in lower case, without the leading dot that browsers pass over.
func (c *Config) AmplifyCookieDomain() string {
	return strings.ToLower(strings.TrimPrefix(c.Session.AmplifyDomain, "."))
}

// CookieName is session.cookie_name or, where it is not set, __Host-vestibule with https
// and vestibule with http.
func (c *Config) CookieName() string {
	switch {
	case c.Session.CookieName != "":
		return c.Session.CookieName
	case c.Secure():
		return "__Host-vestibule"
	}
	return "vestibule"
}

// Origins is redirect_origins as the Origin header gives them, without faulty ones.
func (c *Config) Origins() []string {
	var out []string
	for _, text := range c.RedirectOrigins {
		if u, err := parseSafeURL(text); err == nil {
			out = append(out, origin(u))
		}
	}
	return out
}

// Proxies is trusted_proxies as networks, an address as a network of one, without faulty
// ones.
func (c *Config) Proxies() []netip.Prefix {
	var out []netip.Prefix
	for _, text := range c.TrustedProxies {
		if prefix, err := parsePrefix(text); err == nil {
			out = append(out, prefix)
		}
	}
	return out
}

// origin serialises as browsers do (RFC 6454 section 6.2).
func origin(u *url.URL) string {
	return u.Scheme + "://" + canonicalHost(u)
}

func canonicalHost(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		host = "[" + addr.String() + "]"
	}
	if port := u.Port(); port != "" && u.Scheme+port != "http80" && u.Scheme+port != "https443" {
		host += ":" + strings.TrimLeft(port, "0")
	}
	return host
}
