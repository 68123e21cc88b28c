package handlers

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"vestibule/upstream"
	"vestibule/views"
)

// Form is the form in which a route answers, failures included.
type Form int

// The forms.
const (
	FormAny    Form = iota // a page for who accepts HTML, JSON for everybody else
	FormJSON               // {"error":"Unauthorized"}
	FormTMI                // {"error":"invalid_session"}: draft-bertocci-oauth2-tmi-bff, section 4
	FormPage               // HTML
	FormOAuth              // {"error":"invalid_request"}: RFC 6749, section 5.2
	FormEither             // FormPage for who prefers HTML, FormJSON for everybody else: the edge decides before a handler runs
)

// Exchange is one request and its answer, with the facts that its log record will tell.
type Exchange struct {
	echo.Context
	Form Form
	// Address says where a request came from, as far as trusted proxies are believed; nil: nobody knows.
	Address func(*http.Request) string

	Facts
	id         string
	negotiated bool // Form was chosen by the Accept header
	fewCookies bool // who asks may pass on the first Set-Cookie alone: nginx does for auth_request
}

// Facts is what a handler knows and the record of the request tells. Nothing in it is secret.
type Facts struct {
	Session   string // how the session was found: none, unreadable, unverified, ended, live, adopted
	Refreshed bool   // the answer carries a newer form of the session
	Denied    string // why a guard refused: cross_site, header
	Cache     string // what the cache of machine tokens did: hit, miss, ...
	Reason    string // what went wrong, in our own words
	Err       error  // the cause of a failure
}

// Handler answers one route.
type Handler func(*Exchange) error

// ID names this exchange in the log and on error pages. It is made when it is first asked for.
func (x *Exchange) ID() string {
	if x.id == "" {
		x.id = strconv.FormatUint(rand.Uint64(), 36) // a name, not a secret
	}
	return x.id
}

// KnownID is the name if anybody was told it: an error page, another log line; "" otherwise.
func (x *Exchange) KnownID() string { return x.id }

// HungUp says whether a request failed because its client went away. One that failed for another reason is a failure even when nobody
// waits for its answer any more, and a wait that we broke off ourselves is ours.
func (x *Exchange) HungUp() bool {
	return x.Err != nil && x.Request().Context().Err() != nil &&
		(errors.Is(x.Err, context.Canceled) || errors.Is(x.Err, upstream.ErrVisitorGone))
}

// cookies are the request's Cookie header lines.
func (x *Exchange) cookies() []string { return x.Request().Header["Cookie"] }

func (x *Exchange) setCookies(cookies []*http.Cookie) {
	for _, c := range cookies {
		x.Response().Header().Add("Set-Cookie", c.String())
	}
}

// Header values that are the same for everybody are shared: setting them allocates nothing.
var (
	noStore    = []string{"no-store"}
	varyCookie = []string{"Cookie"}
	varyAccept = []string{"Cookie, Accept"}
	noCache    = []string{"no-cache"}
	nosniff    = []string{"nosniff"}
	typeJSON   = []string{"application/json"}
	typeHTML   = []string{"text/html; charset=utf-8"}
	sameOrigin = []string{"same-origin"}
	zero       = []string{"0"}
)

// Negotiate settles which of its two forms a route answers in.
func (x *Exchange) Negotiate() {
	if x.Form != FormEither {
		return
	}
	x.Form, x.negotiated = FormJSON, true
	if prefersHTML(x.Request().Header["Accept"]) {
		x.Form = FormPage
	}
}

// Private marks an answer as one browser's own. The edge does so before a handler runs: refusals carry it too.
func (x *Exchange) Private() {
	h := x.Response().Header()
	h["Cache-Control"] = noStore
	h["Vary"] = varyCookie
	if x.negotiated {
		h["Vary"] = varyAccept
	}
	h["X-Content-Type-Options"] = nosniff
}

// json sends bytes that are JSON already.
func (x *Exchange) json(status int, body []byte) error {
	h := x.Response().Header()
	h["Content-Type"] = typeJSON
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.Response().WriteHeader(status)
	_, err := x.Response().Write(body) // net/http drops the body of a HEAD
	return err
}

// empty sends a status alone.
func (x *Exchange) empty(status int) error { return x.NoContent(status) }

// redirect sends the browser on. to is a URL of the provider's or one that returnTo has judged.
func (x *Exchange) redirect(status int, to string) error {
	h := x.Response().Header()
	h["Location"] = []string{to}
	h["Referrer-Policy"] = []string{"no-referrer"}
	x.Response().WriteHeader(status)
	return nil
}

// page renders a page under its policy. Pages are private: they show who is signed in, or carry a returnTo.
func (h *Handlers) page(x *Exchange, status int, p views.PagePolicy, page templ.Component) error {
	header := x.Response().Header()
	header["Content-Type"] = typeHTML
	header.Set("Content-Security-Policy", h.c.Views.CSP(p))
	// Not no-referrer: a form on a page with that policy is sent with "Origin: null".
	header["Referrer-Policy"] = sameOrigin
	header["Cross-Origin-Opener-Policy"] = sameOrigin
	x.Private()
	header["Vary"] = []string{header["Vary"][0] + ", Accept-Language"}
	x.Response().WriteHeader(status)
	return page.Render(x.Request().Context(), x.Response())
}

func (h *Handlers) language(x *Exchange) views.Language { return h.languageOr(x, "") }

// languageOr is what a page is written in: the language that was chosen before this request, if one was, else that of the request.
func (h *Handlers) languageOr(x *Exchange, chosen string) views.Language {
	return h.c.Views.Language(cmp.Or(chosen, x.QueryParam("lang")), x.Request().Header.Get("Accept-Language"))
}

func (h *Handlers) log(x *Exchange) *slog.Logger { return h.c.Logger.With("id", x.ID()) }
