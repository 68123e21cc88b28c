package handlers

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// Guard is what must hold before a route's handler runs.
type Guard int

// The guards.
const (
	GuardNone     Guard = iota
	GuardSameSite       // not from another site's page
	GuardLink           // the same, but a link on another site may lead a person here
	GuardToken          // not from another site's page, and the demanded header (token.csrf_header) is there
)

// Check applies a guard.
func (h *Handlers) Check(x *Exchange, g Guard) error {
	if g == GuardNone || g == GuardLink && h.mayBring(x.Request()) {
		return nil
	}
	if err := h.sameSite(x); err != nil {
		return err
	}
	if g == GuardToken && h.c.CSRFHeader != "" && x.Request().Header.Get(h.c.CSRFHeader) == "" {
		x.Denied = "header"
		return ErrHeaderMissing
	}
	return nil
}

// sameSite refuses what another site's page asks for with our cookies. Browsers say where a request comes from in two headers
// that scripts cannot set (Fetch Metadata, Origin); who sends neither is no browser that could be used against its user.
func (h *Handlers) sameSite(x *Exchange) error {
	if h.fromElsewhere(x.Request()) {
		x.Denied = "cross_site"
		return ErrCrossSite
	}
	return nil
}

func (h *Handlers) fromElsewhere(r *http.Request) bool {
	origins := r.Header["Origin"]
	listed := len(origins) == 1 && h.isOurs(origins[0])
	site := r.Header["Sec-Fetch-Site"]
	if len(site) == 1 && (site[0] == "same-origin" || site[0] == "none") {
		// A page with "Referrer-Policy: no-referrer" posts with "Origin: null" to its own origin.
		return len(origins) > 0 && !listed && !(len(origins) == 1 && origins[0] == "null")
	}
	if len(site) > 0 {
		return !listed
	}
	return len(origins) > 0 && !listed
}

func (h *Handlers) isOurs(origin string) bool {
	if h.origins[origin] {
		return true
	}
	canonical, ok := canonicalOrigin(origin)
	return ok && h.origins[canonical]
}

// canonicalOrigin gives the one spelling of an origin: lower case, IDNA A-labels, IPv6 shortened, default port left out
// (RFC 6454, section 6.2; WHATWG URL, section 3.5).
func canonicalOrigin(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Host == "" || u.Opaque != "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", false
	}
	return originOf(u)
}

func originOf(u *url.URL) (string, bool) {
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" {
		return "", false
	}
	host, ok := canonicalHost(u.Hostname())
	if !ok {
		return "", false
	}
	if port := u.Port(); port != "" && !(scheme == "https" && port == "443") && !(scheme == "http" && port == "80") {
		return scheme + "://" + net.JoinHostPort(strings.Trim(host, "[]"), port), true
	}
	return scheme + "://" + host, true
}

// hostProfile is how browsers read host names (WHATWG URL, section 3.3, domain to ASCII, not strict): underscores and hyphens anywhere pass.
var hostProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.Transitional(false),
	idna.StrictDomainName(false), idna.CheckHyphens(false))

func canonicalHost(host string) (string, bool) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return "", false
		}
		if ip.Is6() {
			return "[" + ip.String() + "]", true
		}
		return ip.String(), true
	}
	if host == "" || strings.ContainsAny(host, " %*<>^`{|}[]\\\"'(),;") {
		return "", false
	}
	ascii, err := hostProfile.ToASCII(host)
	if err != nil || ascii == "" {
		return "", false
	}
	// Browsers read a host whose last label is a number as an IPv4 address ("0x7f.1"): only the plain form is known here.
	labels := strings.Split(strings.TrimSuffix(ascii, "."), ".")
	if last := labels[len(labels)-1]; last != "" && last[0] >= '0' && last[0] <= '9' {
		return "", false
	}
	return ascii, true
}
