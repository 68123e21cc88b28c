package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// maxURL bounds every URL, in bytes: what the provider's client takes at most.
const maxURL = 2048

// parseURL reads an absolute http or https URL without user and fragment, whose host is
// one that browsers and resolvers read as we do. Errors never quote it.
func parseURL(text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, fmt.Errorf("is longer than %d bytes", maxURL)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is not an absolute http or https URL")
	case u.User != nil:
		return nil, errors.New("holds a user name")
	case strings.Contains(text, "#"):
		return nil, errors.New("has a fragment")
	case !isHost(u.Hostname()):
		return nil, errors.New("has no plain host; international names are written in their xn-- form")
	case strings.HasSuffix(u.Host, ":") || !isPort(u.Port()):
		return nil, errors.New("has no port between 1 and 65535")
	}
	return u, nil
}

// parseSafeURL is parseURL, and https unless the host is loopback.
func parseSafeURL(text string) (*url.URL, error) {
	u, err := parseURL(text)
	if err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, errors.New("must use https: only a loopback host may use http")
	}
	return u, err
}

func checkEndpoint(text string) error {
	_, err := parseSafeURL(text)
	return err
}

// checkIssuer follows OpenID Connect Discovery section 2: no query.
func checkIssuer(text string) error {
	_, err := parseIssuer(text)
	return err
}

func parseIssuer(text string) (*url.URL, error) {
	u, err := parseSafeURL(text)
	if err == nil && strings.Contains(text, "?") {
		return nil, errors.New("has a query")
	}
	return u, err
}

// checkPublicURL wants what an issuer may be, with a path that a router reads literally.
func checkPublicURL(text string) error {
	u, err := parseIssuer(text)
	if err != nil {
		return err
	}
	if base := strings.TrimSuffix(u.EscapedPath(), "/"); base != "" && checkPath(base) != nil {
		return errors.New("has a path with more than letters, digits, '-', '_', '.' and '/'")
	}
	return nil
}

var errWildcard = errors.New("holds a wildcard, which is not supported")

// checkOrigin wants scheme, host and port, and nothing else, not even a slash. No wildcard either: it would trust whoever comes to own a
// forgotten subdomain.
func checkOrigin(text string) error {
	if strings.Contains(text, "*") {
		return errWildcard
	}
	u, err := parseSafeURL(text)
	if err == nil && text != u.Scheme+"://"+u.Host {
		return errors.New("is more than an origin")
	}
	return err
}

// checkPath wants a clean absolute path that a router reads literally.
func checkPath(text string) error {
	odd := strings.ContainsFunc(text, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-_./", r)
	})
	if odd || !strings.HasPrefix(text, "/") || text == "/" || path.Clean(text) != text || len(text) > 256 {
		return errors.New("is not a plain path")
	}
	return nil
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// isHost accepts addresses and ASCII names. A last label that looks like a number is
// refused: browsers read such names as IPv4 addresses (WHATWG URL, "ends in a number").
func isHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	labels := strings.Split(strings.ToLower(host), ".")
	for _, label := range labels {
		odd := strings.ContainsFunc(label, func(r rune) bool { return !isAlphanumeric(r) && r != '-' && r != '_' })
		if label == "" || odd {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(host) <= 253 && strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// isLoopback accepts addresses of this machine and the names that RFC 6761 section 6.3 keeps for it. The provider's client
// has the same rule.
func isLoopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// parsePrefix reads a network, or an address as a network of one.
func parsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, addrErr := netip.ParseAddr(text)
		if addrErr != nil || addr.Zone() != "" {
			return netip.Prefix{}, errors.New("is neither an address nor a network")
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Addr().Is4In6() { // would match nothing: peers are compared as IPv4
		return netip.Prefix{}, errors.New("is an IPv4 address in IPv6 form")
	}
	return prefix.Masked(), nil
}
