package handlers

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vestibule/idp"
	"vestibule/machine"
	"vestibule/session"
	"vestibule/upstream"
	"vestibule/views"
)

// What handlers and guards themselves refuse.
var (
	// ErrCrossSite means that another site's page asked.
	ErrCrossSite = errors.New("the request comes from another site")
	// ErrHeaderMissing means that the demanded header (token.csrf_header) is not there.
	ErrHeaderMissing = errors.New("the demanded header is missing")
	// ErrNotFound means that there is no such route.
	ErrNotFound = errors.New("no such route")
	// ErrMethod means that the route does not know the method.
	ErrMethod = errors.New("the route does not know the method")
	// ErrBadRequest means that the request is malformed.
	ErrBadRequest = errors.New("the request is malformed")
	// ErrTooLarge means that a body is over its bound.
	ErrTooLarge = errors.New("the request is too large")
	// ErrPanic means that a handler panicked.
	ErrPanic = errors.New("a handler panicked")
	// errNotEverywhere means that a sign-out on all devices may not have reached all of them.
	errNotEverywhere = errors.New("not all sessions of the person could be ended")
	// errDenied, errProviderSaid: what the provider sent back instead of a code (RFC 6749, section 4.1.2.1).
	errDenied       = errors.New("the sign-in was cancelled at the provider")
	errProviderSaid = errors.New("the provider answered the sign-in with an error")
	errProviderDown = errors.New("the provider says it cannot sign people in now")
	errProviderBug  = errors.New("the provider failed at signing in")
)

// answers is the one table from error to answer: the first row that fits decides. What has no row is 500.
var answers = []struct {
	is     error
	status int
	page   views.ErrorKind
	code   string // the error code of the TMI-BFF and OAuth forms; "" is the form's own word for the status
}{
	{errNotEverywhere, http.StatusServiceUnavailable, views.ErrNotEverywhere, ""},
	{errAdminToken, http.StatusUnauthorized, views.ErrForbidden, ""},
	{session.ErrNone, http.StatusUnauthorized, views.ErrSignInExpired, "invalid_session"},
	{session.ErrUnreadable, http.StatusUnauthorized, views.ErrSignInExpired, "invalid_session"},
	{session.ErrEnded, http.StatusUnauthorized, views.ErrSignInExpired, "invalid_session"},
	{session.ErrUnavailable, http.StatusServiceUnavailable, views.ErrProviderUnavailable, "backend_not_ready"},
	{session.ErrTooLarge, http.StatusBadGateway, views.ErrProviderBroken, "backend_not_ready"},
	{session.ErrPendingUsed, http.StatusBadRequest, views.ErrSignInUsed, ""},
	{session.ErrPendingUnknown, http.StatusBadRequest, views.ErrSignInExpired, ""},
	{errStreams, http.StatusServiceUnavailable, views.ErrProviderUnavailable, ""},
	{ErrCrossSite, http.StatusForbidden, views.ErrForbidden, ""},
	{ErrHeaderMissing, http.StatusForbidden, views.ErrForbidden, ""},
	{ErrNotFound, http.StatusNotFound, views.ErrNotFound, ""},
	{ErrMethod, http.StatusMethodNotAllowed, views.ErrMethodNotAllowed, ""},
	{ErrBadRequest, http.StatusBadRequest, views.ErrBadRequest, ""},
	{ErrTooLarge, http.StatusRequestEntityTooLarge, views.ErrTooLarge, ""},
	{upstream.ErrAppUnavailable, http.StatusBadGateway, views.ErrAppUnavailable, ""},
	{upstream.ErrAppTimeout, http.StatusGatewayTimeout, views.ErrAppUnavailable, ""},
	{upstream.ErrRequestBody, http.StatusBadRequest, views.ErrBadRequest, ""},
	{upstream.ErrRequestTimeout, http.StatusRequestTimeout, views.ErrBadRequest, ""},
	{upstream.ErrVisitorGone, http.StatusBadRequest, views.ErrBadRequest, ""}, // nobody reads it
	{errDenied, http.StatusBadRequest, views.ErrSignInCancelled, ""},
	{errProviderSaid, http.StatusBadRequest, views.ErrSignInRefused, ""},
	{errProviderDown, http.StatusServiceUnavailable, views.ErrProviderUnavailable, ""},
	{errProviderBug, http.StatusBadGateway, views.ErrProviderBroken, ""},
	// Before the provider's: a token endpoint that cannot be found is one that gives no tokens.
	{machine.ErrRequest, http.StatusBadRequest, views.ErrBadRequest, "invalid_request"},
	{machine.ErrClient, http.StatusUnauthorized, views.ErrForbidden, "invalid_client"},
	{machine.ErrGrant, http.StatusBadRequest, views.ErrBadRequest, "unauthorized_client"},
	{machine.ErrScope, http.StatusBadRequest, views.ErrBadRequest, "invalid_scope"},
	{machine.ErrBusy, http.StatusTooManyRequests, views.ErrProviderUnavailable, "temporarily_unavailable"},
	{machine.ErrUnavailable, http.StatusServiceUnavailable, views.ErrProviderUnavailable, "temporarily_unavailable"},
	{idp.ErrRefused, http.StatusBadRequest, views.ErrSignInRefused, ""},
	{idp.ErrUntrusted, http.StatusBadRequest, views.ErrSignInNotVerified, ""},
	{idp.ErrThrottled, http.StatusServiceUnavailable, views.ErrProviderUnavailable, "backend_not_ready"},
	{idp.ErrUnavailable, http.StatusServiceUnavailable, views.ErrProviderUnavailable, "backend_not_ready"},
	{idp.ErrMalformed, http.StatusBadGateway, views.ErrProviderBroken, "backend_not_ready"},
	{idp.ErrMisconfigured, http.StatusBadGateway, views.ErrProviderBroken, "backend_not_ready"},
}

// leastRetryAfter is what a 503 asks for when the provider did not say.
const leastRetryAfter = 2 * time.Second

// fullRetryAfter is the least that it asks for when no event stream more can be held: streams stay.
const fullRetryAfter = time.Minute

// Fail answers an error in the route's form. Nothing of the error's text reaches the client.
func (h *Handlers) Fail(x *Exchange, err error) error { return h.fail(x, err, "") }

// fail is Fail with a place where a page offers to try again.
func (h *Handlers) fail(x *Exchange, err error, retryURL string) error {
	return h.failIn(x, err, retryURL, "")
}

// failIn is fail with the language that was chosen before this request; "": none was.
func (h *Handlers) failIn(x *Exchange, err error, retryURL, lang string) error {
	x.Err = err
	if x.Response().Committed {
		return nil
	}
	x.Private()
	status, kind, code := answerTo(err)
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		x.Response().Header().Set("Retry-After", retryAfter(err))
	}
	switch {
	case x.Form == FormTMI:
		return h.failTMI(x, status, code)
	case x.Form == FormOAuth:
		return h.failOAuth(x, status, code)
	case x.Form == FormPage, x.Form == FormAny && acceptsHTML(x.Request()):
		p := views.Error{Kind: kind, RetryURL: retryURL, HomeURL: h.Path("/"), RequestID: x.ID()}
		return h.page(x, status, views.PagePolicy{}, h.c.Views.Error(h.languageOr(x, lang), p))
	}
	return x.json(status, jsonError(status))
}

// failTMI answers as the draft wants it: 400 for what its error codes cover, our own statuses for the rest.
func (h *Handlers) failTMI(x *Exchange, status int, code string) error {
	x.Response().Header()["Pragma"] = noCache
	if code == "" {
		return x.json(status, jsonError(status))
	}
	return x.json(http.StatusBadRequest, []byte(`{"error":"`+code+`"}`))
}

// failOAuth answers as a token endpoint does (RFC 6749, section 5.2).
func (h *Handlers) failOAuth(x *Exchange, status int, code string) error {
	header := x.Response().Header()
	delete(header, "Vary")
	header["Pragma"] = noCache
	switch {
	case status == http.StatusUnauthorized:
		header.Set("WWW-Authenticate", `Basic realm="vestibule"`)
	case code == "" && status >= 500:
		code = "server_error"
	case code == "":
		code = "invalid_request"
	}
	return x.json(status, []byte(`{"error":"`+code+`"}`))
}

func answerTo(err error) (status int, kind views.ErrorKind, code string) {
	for _, a := range answers {
		if errors.Is(err, a.is) {
			return a.status, a.page, a.code
		}
	}
	return http.StatusInternalServerError, views.ErrInternal, ""
}

func retryAfter(err error) string {
	wait := leastRetryAfter
	var u *session.Unavailable
	var e *idp.Error
	var m *machine.Failure
	switch {
	case errors.Is(err, errStreams):
		wait = fullRetryAfter + rand.N(fullRetryAfter) // all who were refused would come back at once
	case errors.As(err, &m):
		wait = max(wait, m.RetryAfter)
	case errors.As(err, &u):
		wait = max(wait, u.RetryAfter)
	case errors.As(err, &e):
		wait = max(wait, e.RetryAfter)
	}
	return strconv.Itoa(int(math.Ceil(wait.Seconds())))
}

// unauthorized is the most frequent failure by far: a signed-out tab asks every minute, for ever, once per subscription.
var unauthorized = []byte(`{"error":"Unauthorized"}`)

func jsonError(status int) []byte {
	if status == http.StatusUnauthorized {
		return unauthorized
	}
	return []byte(`{"error":"` + http.StatusText(status) + `"}`)
}

func acceptsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }
