package upstream

import (
	"maps"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
)

// rewrite makes the request that the application gets. It runs after the headers that "Connection" names were removed: what is
// set here cannot be taken away by naming it there.
func (p *passage) rewrite(pr *httputil.ProxyRequest) {
	out, in := pr.Out, pr.In
	a := p.app
	out.URL = a.address(in)
	out.Host = a.c.PublicURL.Host // Next.js compares it with Origin, and links are made of it

	peer, trusted := a.peer(in)
	for name := range out.Header {
		if refused(name, trusted) {
			delete(out.Header, name)
		}
	}
	maps.Copy(out.Header, a.forwarded)
	out.Header["Via"] = a.via(in, out.Header["Via"])
	if peer != "" {
		out.Header["X-Forwarded-For"] = []string{peer}
	}
	if lines := a.c.Strip(out.Header["Cookie"]); len(lines) > 0 {
		out.Header["Cookie"] = lines
	} else {
		delete(out.Header, "Cookie")
	}
	maps.Copy(out.Header, p.visitor.Identity)
	if p.visitor.Bearer != "" {
		out.Header["Authorization"] = []string{"Bearer " + p.visitor.Bearer}
	}
	p.announceTrailers(out)
}

// address is where the request goes: path and query byte for byte as the browser wrote them. httputil would leave out the parts
// of a query that Go cannot read, since a proxy that judges by the query must read it as the application does; nothing is judged here.
func (a *App) address(in *http.Request) *url.URL {
	u := &url.URL{
		Scheme: a.c.Target.Scheme, Host: a.c.Target.Host,
		Path: in.URL.Path, RawPath: in.URL.RawPath, RawQuery: in.URL.RawQuery, ForceQuery: in.URL.ForceQuery,
	}
	// "/a|b" would be written anew as "/a%7Cb". A path that begins with two slashes cannot be given this way; it keeps everything but
	// the characters that should have been encoded.
	path, _, _ := strings.Cut(in.RequestURI, "?")
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		u.Opaque = path
	}
	return u
}

// GuardsIdentity says whether a header could tell the application who asks. Such a header is ours alone: it is removed from every
// request that comes in, in all spellings that CGI and WSGI servers take for the same name.
func GuardsIdentity(header string) bool {
	name := plain(header)
	if strings.HasPrefix(name, "x-auth-request-") {
		return true
	}
	switch name {
	case "x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username", "x-forwarded-access-token",
		"remote-user", "remote-name", "remote-email", "remote-groups", "x-remote-user", "x-webauth-user": // other products' names for it
		return true
	}
	return false
}

// refused says which headers do not pass: identity, credentials for us, who claims to be in front of us, and what frameworks say to
// themselves. Accounts of the way here are believed of trusted peers, except those that are made anew.
func refused(header string, trusted bool) bool {
	if GuardsIdentity(header) {
		return true
	}
	switch name := plain(header); name {
	case "authorization", "proxy": // CGI makes HTTP_PROXY of the second, by which programs choose a proxy of their own
		return true
	case "forwarded": // a second account of what X-Forwarded-* say; the two could differ
		return true
	case "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port":
		return true
	case "x-middleware-subrequest": // Next.js before 15.2.3 skips its middleware for it (CVE-2025-29927)
		return true
	case "x-real-ip":
		return !trusted || disguised(header, name)
	default:
		return disguised(header, name) || !trusted && strings.HasPrefix(name, "x-forwarded-")
	}
}

// plain is the name that CGI makes of a header's: case and the difference between "-" and "_" are lost there (RFC 3875, section
// 4.1.18), with some servers between all signs.
func plain(header string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, header)
}

// disguised says of a header whose name is another's after plain that it is one that this proxy or HTTP itself goes by: it would be
// believed beside, or in place of, the real one.
func disguised(header, name string) bool {
	switch name {
	case "host", "cookie", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "x-real-ip":
		return !strings.EqualFold(header, name)
	}
	return false
}

// peer is what X-Forwarded-For becomes, and whether the peer's own account is believed.
func (a *App) peer(in *http.Request) (chain string, trusted bool) {
	addr, err := netip.ParseAddrPort(in.RemoteAddr)
	if err != nil {
		return "", false
	}
	ip := addr.Addr().Unmap().WithZone("")
	for _, prefix := range a.c.Trusted {
		trusted = trusted || prefix.Contains(ip)
	}
	if before := in.Header["X-Forwarded-For"]; trusted && len(before) > 0 {
		return strings.Join(before, ", ") + ", " + ip.String(), true
	}
	return ip.String(), trusted
}

func forwardedHeaders(public *url.URL) http.Header {
	port := public.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[public.Scheme == "https"]
	}
	return http.Header{
		"X-Forwarded-Host": {public.Host}, "X-Forwarded-Proto": {public.Scheme}, "X-Forwarded-Port": {port},
	}
}

// wantsWebSocket: RFC 6455, section 4.1.
func wantsWebSocket(r *http.Request) bool {
	upgrade := r.Header["Upgrade"]
	return r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) && r.ContentLength == 0 && len(upgrade) == 1 &&
		strings.EqualFold(strings.TrimSpace(upgrade[0]), "websocket") && asksUpgrade(r.Header)
}

func asksUpgrade(h http.Header) bool {
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}

// announceTrailers takes over the names that the request announced. A trailer is a header to some servers.
func (p *passage) announceTrailers(out *http.Request) {
	out.Trailer = nil
	for name := range p.in.Trailer {
		if refused(name, false) || name == "Cookie" {
			continue
		}
		if out.Trailer == nil {
			out.Trailer = http.Header{}
		}
		out.Trailer[name] = nil
	}
	p.outTrail = out.Trailer
}

// trailers fills in the values that came behind the body. The transport calls for it just before it writes them.
func (p *passage) trailers() {
	for name := range p.outTrail {
		p.outTrail[name] = p.in.Trailer[name]
	}
}
