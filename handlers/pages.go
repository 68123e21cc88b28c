package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"vestibule/session"
	"vestibule/views"
)

// Login is the sign-in page (GET /login).
func (h *Handlers) Login(x *Exchange) error {
	returnTo := h.returnTo(x.QueryParam("returnTo"))
	lang := h.language(x)
	d := views.Login{
		SignInURL: withLanguage(h.withReturnTo(h.AuthPath("sign-in"), returnTo), x.QueryParam("lang"), lang),
		SignUpURL: withLanguage(h.withReturnTo(h.AuthPath("sign-up"), returnTo), x.QueryParam("lang"), lang),
		Languages: h.c.Views.LanguageLinks(lang, h.withReturnTo(h.Path("/login"), returnTo)),
	}
	policy := views.PagePolicy{}
	if name := h.signedInName(x); name != "" {
		d.SignedInAs, d.ContinueURL, d.SignOutURL = name, returnTo, withLanguage(h.AuthPath("sign-out"), x.QueryParam("lang"), lang)
		policy = h.signOutPolicy()
	}
	return h.page(x, http.StatusOK, policy, h.c.Views.Login(lang, d))
}

// withLanguage hands a language that was chosen on the page on to the provider. One that the browser prefers needs no handing on: the
// browser tells the provider itself.
func withLanguage(address, chosen string, l views.Language) string {
	if chosen == "" {
		return address
	}
	return withParameter(address, "lang", l.Tag())
}

// withParameter adds a parameter to the query of an address; "" adds nothing.
func withParameter(address, name, value string) string {
	if value == "" {
		return address
	}
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + name + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// chosenLanguage is the tag of the language of ours that a lang parameter names; "" where it names none, or there is none.
func (h *Handlers) chosenLanguage(parameter string) string {
	if l, ok := h.c.Views.Chosen(parameter); ok {
		return l.Tag()
	}
	return ""
}

// NotFound is what every address gets that is not ours.
func (h *Handlers) NotFound(*Exchange) error { return ErrNotFound }

func readClaims(s *session.Session) map[string]any {
	c := map[string]any{}
	if json.Unmarshal(claims(s), &c) != nil {
		return nil
	}
	return c
}

func tooLarge(err error) bool {
	var e *http.MaxBytesError
	return errors.As(err, &e)
}
