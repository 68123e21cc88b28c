package handlers

import (
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"vestibule/idp"
	"vestibule/session"
	"vestibule/views"
)

// maxForm bounds a form body, in bytes.
const maxForm = 64 << 10

// SignOut ends the session (POST and GET {auth}/sign-out): here first, then the refresh token at the provider, then the browser
// goes to the provider's logout. With everywhere=true it ends all sessions of the person. What another site's page asks for changes nothing:
// the person is asked, and so is who follows a link that would end all sessions.
func (h *Handlers) SignOut(x *Exchange) error {
	r := x.Request()
	if isPrefetch(r.Header) {
		x.Reason = "prefetch"
		return x.empty(http.StatusNoContent)
	}
	asked, err := h.signOutAsked(x)
	if h.fromElsewhere(r) || h.ledFromElsewhere(r) {
		x.Denied = "cross_site"
		return h.confirmSignOut(x, asked) // what is not understood is not carried on, and the page says what it asks about
	}
	if err != nil {
		return h.failIn(x, err, "", asked.lang)
	}
	if asked.everywhere && r.Method != http.MethodPost {
		return h.confirmSignOut(x, asked)
	}
	hint, err := h.endBrought(x, asked)
	if err != nil {
		return h.failIn(x, err, "", asked.lang)
	}
	if err := h.noteTheEnd(x, asked); err != nil {
		return err
	}
	if to, ok := h.c.Provider.LogoutURL(idp.LogoutRequest{IDTokenHint: hint}); ok {
		return x.redirect(http.StatusSeeOther, to)
	}
	return x.redirect(http.StatusSeeOther, h.AuthPath("sign-out-callback"))
}

// signingOut is what a sign-out asks for.
type signingOut struct {
	returnTo   string
	everywhere bool   // on all devices of the person
	lang       string // tag of the language that was chosen; "": none was
}

// endBrought ends our session that the browser brought and the adapter's, and deletes the cookies of both. Whose sessions everywhere means
// is told by our own, as in every answer, and by the adapter's where there is none of ours. The error says that some may go on
// elsewhere; this browser is signed out all the same.
func (h *Handlers) endBrought(x *Exchange, asked signingOut) (idTokenHint string, incomplete error) {
	header := x.cookies()
	own, err := h.endOwn(x, asked.everywhere)
	x.setCookies(h.c.Sessions.Clear(header))
	foreign, foreignErr := h.endForeign(x, asked.everywhere && own == nil)
	if own != nil || foreign {
		x.Session, x.Reason = "ended", string(session.ReasonSignedOut)
		if asked.everywhere {
			x.Reason = string(session.ReasonEverywhere)
		}
	}
	if own != nil {
		idTokenHint = own.Tokens.IDToken
	}
	return idTokenHint, errors.Join(err, foreignErr)
}

// noteTheEnd has the sign-out callback lead where this sign-out is to lead, or show its page in the language of this one, and not as an
// earlier one was to end that never came so far. The provider's logout carries neither: it compares the address of the callback whole.
func (h *Handlers) noteTheEnd(x *Exchange, asked signingOut) error {
	returnTo := asked.returnTo
	if returnTo == h.Path("/") {
		returnTo = ""
	}
	if returnTo == "" && asked.lang == "" {
		h.forgetTheEnd(x)
		return nil
	}
	note, err := h.c.Sessions.Leave(returnTo, asked.lang)
	if err != nil {
		return err
	}
	x.setCookies(note)
	return nil
}

// forgetTheEnd deletes what a sign-out noted. A sign-in does so, too: the sign-out before it was abandoned.
func (h *Handlers) forgetTheEnd(x *Exchange) {
	_, _, gone := h.c.Sessions.Left(x.cookies())
	x.setCookies(gone)
}

// endOwn ends our session that the browser brought, or all of its person, and gives it; nil where there is none. The error says that
// some may go on elsewhere.
func (h *Handlers) endOwn(x *Exchange, everywhere bool) (own *session.Session, incomplete error) {
	ctx := x.Request().Context()
	s, err := h.c.Sessions.Load(ctx, x.cookies())
	if errors.Is(err, session.ErrUnavailable) {
		h.c.Sessions.Abandon(ctx, x.cookies())
		x.Session, x.Reason = "ended", string(session.ReasonSignedOut)
	}
	switch {
	case everywhere && errors.Is(err, session.ErrUnavailable):
		return nil, errors.Join(errNotEverywhere, err) // nobody can say whose sessions they are
	case err != nil:
		return nil, nil
	}
	return s, h.end(ctx, s, everywhere)
}

// end ends the session, or all of its person.
func (h *Handlers) end(ctx context.Context, s *session.Session, everywhere bool) error {
	if !everywhere {
		h.c.Sessions.End(ctx, s)
		return nil
	}
	if err := h.c.Sessions.EndEverywhere(ctx, s); err != nil {
		return errors.Join(errNotEverywhere, err)
	}
	return nil
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

// signOutAsked reads the query and the form. The query's returnTo and lang come first; everywhere may be said in either. With an error comes
// what was understood, which may be shown and must not be done.
func (h *Handlers) signOutAsked(x *Exchange) (signingOut, error) {
	raw, lang, everywhere := x.QueryParam("returnTo"), x.QueryParam("lang"), slices.Clone(x.QueryParams()["everywhere"])
	var unread error
	if x.Request().Method == http.MethodPost {
		var form url.Values
		form, unread = x.form()
		raw, lang = cmp.Or(raw, form.Get("returnTo")), cmp.Or(lang, form.Get("lang"))
		everywhere = append(everywhere, form["everywhere"]...)
	}
	all, err := saysYes(everywhere)
	return signingOut{returnTo: h.returnTo(raw), everywhere: all, lang: h.chosenLanguage(lang)}, cmp.Or(unread, err)
}

// saysYes reads what forms and scripts send for a choice: "on" is a checkbox's own word, and some frameworks put a hidden "0" in front of
// it. A word that is not understood is refused: one device would be signed out where all are meant, and reported as done.
func saysYes(values []string) (yes bool, err error) {
	for _, v := range values {
		switch strings.ToLower(v) {
		case "true", "1", "on":
			yes = true
		case "false", "0", "off", "":
		default:
			return false, ErrBadRequest
		}
	}
	return yes, nil
}

// form reads the body as either kind of form that browsers send: a page's own form is urlencoded, a script's FormData is
// multipart. A body of another type is refused, not passed over: what it asked for would be left undone, and reported as done.
func (x *Exchange) form() (url.Values, error) {
	r := x.Request()
	if r.ContentLength == 0 {
		return nil, nil
	}
	r.Body = http.MaxBytesReader(x.Response(), r.Body, maxForm)
	form, err := formValues(r)
	switch {
	case tooLarge(err):
		return nil, ErrTooLarge
	case err != nil:
		return nil, ErrBadRequest
	}
	return form, nil
}

func formValues(r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == formType:
		err := r.ParseForm()
		return r.PostForm, err
	case err == nil && kind == "multipart/form-data":
		parts, err := r.MultipartReader()
		if err != nil {
			return nil, err
		}
		form, err := parts.ReadForm(maxForm) // as much as the body may hold, so that no file among the fields goes to disk
		if err != nil {
			return nil, err
		}
		return form.Value, nil
	}
	// A body whose length nobody told may be none.
	if _, err := io.ReadFull(r.Body, make([]byte, 1)); err != io.EOF {
		return nil, ErrBadRequest
	}
	return nil, nil
}

func (h *Handlers) confirmSignOut(x *Exchange, asked signingOut) error {
	d := views.ConfirmSignOut{
		SignedInAs: h.signedInName(x), Action: withParameter(h.AuthPath("sign-out"), "lang", asked.lang), CancelURL: h.Path("/"), Everywhere: asked.everywhere,
	}
	if asked.returnTo != h.Path("/") {
		d.ReturnTo = asked.returnTo
	}
	return h.page(x, http.StatusOK, h.signOutPolicy(), h.c.Views.ConfirmSignOut(h.languageOr(x, asked.lang), d))
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
	returnTo, lang, gone := h.c.Sessions.Left(x.cookies())
	x.setCookies(gone)
	if returnTo != "" {
		return x.redirect(http.StatusSeeOther, h.returnTo(returnTo)) // judged again: the list may have changed since
	}
	return h.page(x, http.StatusOK, views.PagePolicy{}, h.c.Views.SignedOut(h.languageOr(x, lang), views.SignedOut{
		SignInURL: withParameter(h.AuthPath("sign-in"), "lang", cmp.Or(lang, h.chosenLanguage(x.QueryParam("lang")))), HomeURL: h.Path("/"),
	}))
}
