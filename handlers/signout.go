package handlers

import (
	"net/http"
	"net/url"

	"vestibule/idp"
	"vestibule/views"
)

// maxForm bounds a form body, in bytes.
const maxForm = 64 << 10

// SignOut ends the session (POST and GET {auth}/sign-out): here first, then the refresh token at the provider, then the browser
// goes to the provider's logout. What another site's page asks for changes nothing: the person is asked.
func (h *Handlers) SignOut(x *Exchange) error {
	r := x.Request()
	if isPrefetch(r.Header) {
		x.Reason = "prefetch"
		return x.empty(http.StatusNoContent)
	}
	returnTo, err := h.signOutTarget(x)
	if err != nil {
		return err
	}
	if h.fromElsewhere(r) || h.ledFromElsewhere(r) {
		x.Denied = "cross_site"
		return h.confirmSignOut(x, returnTo)
	}
	hint := ""
	header := x.cookies()
	if s, err := h.c.Sessions.Load(r.Context(), header); err == nil {
		hint = s.Tokens.IDToken
		h.c.Sessions.End(r.Context(), s)
		x.Session, x.Reason = "ended", "signed_out"
	}
	x.setCookies(h.c.Sessions.Clear(header))
	if returnTo != "/" {
		note, err := h.c.Sessions.Leave(returnTo)
		if err != nil {
			return err
		}
		x.setCookies(note)
	}
	if to, ok := h.c.Provider.LogoutURL(idp.LogoutRequest{IDTokenHint: hint}); ok {
		return x.redirect(http.StatusSeeOther, to)
	}
	return x.redirect(http.StatusSeeOther, h.AuthPath("sign-out-callback"))
}

// ledFromElsewhere catches a link on another site in a browser without Fetch Metadata. Such a browser sends no Origin with a
// link, but it sends a Referer.
func (h *Handlers) ledFromElsewhere(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") != "" {
		return false
	}
	referer := r.Header.Get("Referer")
	if referer == "" {
		return false
	}
	u, err := url.Parse(referer)
	if err != nil {
		return true
	}
	origin, ok := originOf(u)
	return !ok || !h.origins[origin]
}

func (h *Handlers) signOutTarget(x *Exchange) (string, error) {
	raw := x.QueryParam("returnTo")
	if x.Request().Method == http.MethodPost && raw == "" {
		x.Request().Body = http.MaxBytesReader(x.Response(), x.Request().Body, maxForm)
		if err := x.Request().ParseForm(); err != nil {
			if tooLarge(err) {
				return "", ErrTooLarge
			}
			return "", ErrBadRequest
		}
		raw = x.Request().PostForm.Get("returnTo")
	}
	return h.returnTo(raw), nil
}

func (h *Handlers) confirmSignOut(x *Exchange, returnTo string) error {
	d := views.ConfirmSignOut{SignedInAs: h.signedInName(x), Action: h.AuthPath("sign-out"), CancelURL: h.Path("/")}
	if returnTo != "/" {
		d.ReturnTo = returnTo
	}
	return h.page(x, http.StatusOK, h.signOutPolicy(), h.c.Views.ConfirmSignOut(h.language(x), d))
}

// signOutPolicy lets a form of ours lead on to the provider's logout: Chromium holds redirects to form-action.
func (h *Handlers) signOutPolicy() views.PagePolicy {
	p := views.PagePolicy{}
	if origin := h.c.Provider.LogoutOrigin(); origin != "" {
		p.FormAction = append(p.FormAction, origin)
	}
	p.FormAction = append(p.FormAction, h.listed...)
	return p
}

// SignOutCallback is where the provider's logout sends the browser (GET {auth}/sign-out-callback).
func (h *Handlers) SignOutCallback(x *Exchange) error {
	returnTo, gone := h.c.Sessions.Left(x.cookies())
	x.setCookies(gone)
	if returnTo != "" {
		return x.redirect(http.StatusSeeOther, h.returnTo(returnTo)) // judged again: the list may have changed since
	}
	return h.page(x, http.StatusOK, views.PagePolicy{}, h.c.Views.SignedOut(h.language(x), views.SignedOut{
		SignInURL: h.AuthPath("sign-in"), HomeURL: h.Path("/"),
	}))
}
