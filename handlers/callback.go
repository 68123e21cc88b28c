package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"vestibule/idp"
	"vestibule/session"
	"vestibule/views"
)

const (
	maxCallbackQuery = 8 << 10 // bytes; codes of some providers are near 2 kB
	exchangeTimeout  = 15 * time.Second
)

// callback is what the provider sent the browser back with.
type callback struct {
	state, code, iss, failure string
	issPresent                bool
}

// SignInCallback ends a sign-in (GET {auth}/sign-in-callback): state, issuer, code, ID token, then a session under a new ID.
func (h *Handlers) SignInCallback(x *Exchange) error {
	cb, err := parseCallback(x.Request().URL.RawQuery)
	if err != nil {
		return h.fail(x, err, h.AuthPath("sign-in"))
	}
	ctx := x.Request().Context()
	pending, gone, err := h.c.Sessions.Take(ctx, x.cookies(), cb.state)
	x.setCookies(gone)
	if err != nil {
		return h.fail(x, err, h.AuthPath("sign-in"))
	}
	// What failed is said in the language that was chosen for this sign-in: the provider's redirect carries none.
	fail := func(err error) error { return h.failIn(x, err, h.again(pending.Errand), pending.Lang) }
	// The issuer is checked on error answers too (RFC 9207, section 2.4).
	if err := h.c.Provider.CheckIssuer(cb.iss, cb.issPresent); err != nil {
		return fail(err)
	}
	if cb.failure != "" {
		x.Reason = knownFailure(cb.failure)
		return fail(failureOf(cb.failure))
	}
	// The code is good once: a browser that hangs up now must not lose the answer on the way to the cookie.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeTimeout)
	defer cancel()
	tokens, err := h.c.Provider.Exchange(ctx, idp.Callback{Code: cb.code, Issuer: cb.iss, IssuerPresent: cb.issPresent},
		idp.Pending{Verifier: pending.Verifier, Nonce: pending.Nonce, Begun: pending.Begun})
	if err != nil {
		return fail(err)
	}
	granted := toSession(tokens, h.c.KeepIDToken)
	granted.Nonce = pending.Nonce
	s, cookies, err := h.c.Sessions.Start(ctx, granted, x.cookies(), deviceLabel(x.Request().UserAgent()))
	if errors.Is(err, session.ErrTooLarge) {
		h.log(x).Error("a session does not fit its cookies: make the provider's tokens smaller",
			"largest", session.Weigh(&session.Session{Tokens: granted}, nil, 0).Largest)
	}
	if err != nil {
		return fail(err)
	}
	h.warnOfBudget(x, s, cookies)
	x.setCookies(cookies)
	h.forgetTheEnd(x)
	_, _ = h.endForeign(x, false) // only everywhere can be incomplete
	x.Session = "live"
	target := h.returnTo(pending.ReturnTo) // judged again: what is allowed may have changed since
	if h.c.SameSiteStrict {
		// A redirect would still count as the provider's navigation, and arrive without the Strict cookie.
		return h.page(x, http.StatusOK, views.PagePolicy{}, h.c.Views.MovingOn(h.languageOr(x, pending.Lang), views.MovingOn{Target: target}))
	}
	return x.redirect(http.StatusSeeOther, target)
}

// parseCallback reads the provider's answer. A parameter that stands twice is refused (RFC 6749, section 3.1): which of the
// two counts is a question that attackers ask.
func parseCallback(query string) (callback, error) {
	if len(query) > maxCallbackQuery {
		return callback{}, ErrBadRequest
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return callback{}, ErrBadRequest
	}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(q[name]) > 1 {
			return callback{}, ErrBadRequest
		}
	}
	cb := callback{state: q.Get("state"), code: q.Get("code"), iss: q.Get("iss"), failure: q.Get("error"), issPresent: q.Has("iss")}
	if cb.state == "" || (cb.code == "") == (cb.failure == "") {
		return callback{}, ErrBadRequest
	}
	return cb, nil
}

// failureOf names an error answer; what it says to people is ours alone, for anybody can make a link with an error_description.
func failureOf(code string) error {
	switch code {
	case "access_denied":
		return errDenied
	case "temporarily_unavailable":
		return errProviderDown
	case "server_error":
		return errProviderBug
	}
	return errProviderSaid
}

// knownFailure is the code for the log, if it is one that a specification knows.
func knownFailure(code string) string {
	switch code {
	case "access_denied", "temporarily_unavailable", "server_error", "invalid_request", "unauthorized_client", "invalid_scope",
		"unsupported_response_type", "login_required", "consent_required", "interaction_required", "account_selection_required":
		return code
	}
	return "other"
}

// warnOfBudget says when a session comes near what the servers in between accept, and what costs most.
func (h *Handlers) warnOfBudget(x *Exchange, s *session.Session, cookies []*http.Cookie) {
	others := 0
	for _, line := range h.c.Sessions.Strip(x.cookies()) { // ours are replaced
		others += len(line)
	}
	if b := session.Weigh(s, cookies, others); b.Limit != "" {
		h.log(x).Warn("the cookies of a session come near a header limit", "bytes", b.Bytes, "limit", b.Limit, "largest", b.Largest)
	}
}
