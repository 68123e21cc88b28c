package config

import (
	"slices"
	"strings"
)

// paths checks the routes that can be moved: none may stand on another. A path that is none is not compared: it would seem to stand
// wherever a path could, and hide its one fault among false ones.
func (c *checker) paths() {
	const hint = "write an absolute path of letters, digits, '-', '_', '.' and '/', such as "
	authFault, tokenFault := checkPath(c.AuthPath), checkPath(c.Token.Path)
	c.check("auth_path", authFault, hint+"/api/auth")
	c.check("token.path", tokenFault, hint+"/api/cognito-token")
	if authFault == nil && tokenFault == nil && collide(c.AuthPath, c.Token.Path) {
		c.fault("token.path", "collides with auth_path", "move one of them")
	}
	fixed := []string{"/login", "/healthz", "/readyz", "/static", "/.well-known", "/oauth2/token", "/v1/auth", "/event"}
	for _, route := range fixed {
		if authFault == nil && collide(c.AuthPath, route) {
			c.fault("auth_path", "collides with "+route, "move it")
		}
		if tokenFault == nil && collide(c.Token.Path, route) {
			c.fault("token.path", "collides with "+route, "move it")
		}
	}
}

// collide reports whether one path is the other, or lies under it.
func collide(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// token checks the header that a request for a token has to carry. It proves something
// only if another site's script cannot send it without a preflight, and browsers do not
// send it by themselves (Fetch: CORS-safelisted and forbidden request headers).
func (c *checker) token() {
	header := c.Token.CSRFHeader
	if header == "" {
		return
	}
	const hint = "use a name of your own, such as X-CSRF"
	if len(header) > 64 || !isToken(header) {
		c.fault("token.csrf_header", "is not a header name of at most 64 letters, digits and signs", hint)
		return
	}
	name := strings.ToLower(header)
	everyday := []string{
		"accept", "accept-charset", "accept-encoding", "accept-language", "access-control-request-headers",
		"access-control-request-method", "connection", "content-language", "content-length", "content-type", "cookie",
		"date", "dnt", "expect", "host", "keep-alive", "last-event-id", "origin", "range", "referer", "save-data", "te",
		"trailer", "transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent", "via",
	}
	if slices.Contains(everyday, name) || strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "proxy-") {
		c.fault("token.csrf_header", "is a header that requests from other sites carry too", hint)
	}
}

// isToken follows token of RFC 9110 section 5.6.2, which cookie names share.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
