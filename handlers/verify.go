package handlers

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"vestibule/session"
)

// Verify answers whether somebody is signed in to a proxy that asks before it lets a request pass ({auth}/verify): nginx's
// auth_request, Traefik's ForwardAuth, Caddy's forward_auth, Envoy's ext_authz. 200 carries the identity headers and the bearer token
// for the application; else 401, or with redirect=true in the query a redirect to the sign-in page for who navigates.
//
// The proxy sends the headers of the request that it asks about, so Fetch Metadata says nothing about who asks here: there
// is no guard. Another site's script cannot read the answer, which has no CORS headers and no body.
func (h *Handlers) Verify(x *Exchange) error {
	var query url.Values
	if x.Request().URL.RawQuery != "" {
		query = x.QueryParams()
	}
	return h.verify(x, query)
}

// VerifyBelow is the same for a proxy that appends what it asks about ({auth}/verify/*), as Envoy does. The query is then the visitor's,
// who has no say in what the proxy is told.
func (h *Handlers) VerifyBelow(x *Exchange) error { return h.verify(x, nil) }

// verify answers a proxy, whose wishes are in query.
func (h *Handlers) verify(x *Exchange, query url.Values) error {
	x.fewCookies = query.Get("cookies") != "all"
	s, err := h.fresh(x, session.Need{Brief: isPart(x.Request().Header) && reads(askedMethod(x))})
	if err != nil {
		if status, _, _ := answerTo(err); status == http.StatusUnauthorized && asksForRedirect(x, query) {
			x.Err = err
			return x.redirect(http.StatusFound, h.loginFor(x, query))
		}
		return err
	}
	header := x.Response().Header()
	maps.Copy(header, h.introduce(s).answer)
	header["Content-Length"] = zero
	x.Response().WriteHeader(http.StatusOK)
	return nil
}

// asksForRedirect: only for a person who goes to a page. A script would follow it to the sign-in page and take that for its answer;
// a form's contents would be lost on the way.
func asksForRedirect(x *Exchange, query url.Values) bool {
	switch query.Get("redirect") {
	case "", "0", "false":
		return false
	}
	header := x.Request().Header
	return reads(askedMethod(x)) && !isScript(header) && !isPrefetch(header)
}

// askedMethod is the method of the request that the proxy asks about.
func askedMethod(x *Exchange) string {
	header := x.Request().Header
	return cmp.Or(one(header, "X-Forwarded-Method"), one(header, "X-Original-Method"), x.Request().Method)
}

// loginFor is the sign-in page for the address that the proxy asks about. That is in whatever headers came, so it is
// judged as any returnTo. The answer may go to a browser at another host of ours: it is a whole URL.
func (h *Handlers) loginFor(x *Exchange, query url.Values) string {
	own := h.listed[0]
	returnTo := h.returnTo(asked(x, query))
	if rest, ok := strings.CutPrefix(returnTo, own+"/"); ok {
		returnTo = "/" + rest
	}
	return own + h.withReturnTo(h.Path("/login"), returnTo)
}

// asked is the address that the proxy asks about, "" where it does not say: in the query, or in the headers that nginx and its ingress
// controller (X-Original-URL, X-Original-URI), and Traefik, Caddy and others (X-Forwarded-Proto, -Host, -Uri) are wont to set.
func asked(x *Exchange, query url.Values) string {
	header := x.Request().Header
	for _, whole := range []string{query.Get("returnTo"), one(header, "X-Original-Url")} {
		if whole != "" {
			return whole
		}
	}
	uri := cmp.Or(one(header, "X-Forwarded-Uri"), one(header, "X-Original-Uri"))
	if uri == "" || !strings.HasPrefix(uri, "/") {
		return ""
	}
	host, proto := one(header, "X-Forwarded-Host"), one(header, "X-Forwarded-Proto")
	if host == "" || proto == "" {
		return uri
	}
	origin, ok := originOf(&url.URL{Scheme: proto, Host: host})
	if !ok {
		return ""
	}
	return origin + uri
}

// one is a header that stands there once; "" otherwise, for which of two counts is a question that attackers ask.
func one(h http.Header, name string) string {
	if v := h[name]; len(v) == 1 {
		return v[0]
	}
	return ""
}
