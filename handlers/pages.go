package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

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
		d.SignedInAs, d.ContinueURL, d.SignOutURL = name, returnTo, h.AuthPath("sign-out")
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
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + "lang=" + l.Tag()
}

// NotFound is what every address gets that is not ours.
func (h *Handlers) NotFound(*Exchange) error { return ErrNotFound }

// DemoPage describes the page of the demo; see Demo.
type DemoPage struct {
	Users       []views.DemoUser
	ProviderURL string        // the provider's issuer
	AccessLife  time.Duration // of the provider's access tokens
}

// Demo makes the handler of the demo's page, which the demo alone serves at "/".
func (h *Handlers) Demo(d DemoPage) Handler {
	return func(x *Exchange) error {
		if r := x.Request(); r.Host != h.c.PublicURL.Host {
			// Cookies are bound to the host: a sign-in begun at 127.0.0.1 would come back to localhost without them.
			return x.redirect(http.StatusFound, h.c.PublicURL.String()+"/")
		}
		page := views.Demo{
			SignInURL: h.AuthPath("sign-in"), SignOutURL: h.AuthPath("sign-out"), SessionURL: h.AuthPath("session"),
			TokenURL: h.Path(h.c.TokenPath), Users: d.Users, ProviderURL: d.ProviderURL, AccessLife: d.AccessLife,
		}
		s, err := h.load(x)
		if err == nil {
			page.SignedIn, page.User = true, shownClaims(s)
		}
		policy := h.signOutPolicy()
		policy.Scripts = true
		return h.page(x, http.StatusOK, policy, h.c.Views.Demo(h.language(x), page))
	}
}

func shownClaims(s *session.Session) []views.Claim {
	var out []views.Claim
	c := readClaims(s)
	for _, name := range []string{"name", "email", "sub"} {
		if v, ok := c[name].(string); ok && v != "" {
			out = append(out, views.Claim{Name: name, Value: v})
		}
	}
	return out
}

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
