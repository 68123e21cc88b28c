package handlers

import (
	"net/http"
	"strings"

	"vestibule/idp"
	"vestibule/session"
)

// maxParameter bounds what the sign-in route passes on to the provider.
const maxParameter = 256

// SignIn sends the browser to the provider (GET {auth}/sign-in).
func (h *Handlers) SignIn(x *Exchange) error { return h.begin(x, false) }

// SignUp sends it to the provider's sign-up page (GET {auth}/sign-up).
func (h *Handlers) SignUp(x *Exchange) error { return h.begin(x, true) }

func (h *Handlers) begin(x *Exchange, signUp bool) error {
	r := x.Request()
	if done, err := h.notANavigation(x); done {
		return err
	}
	errand := session.Errand{
		ReturnTo: h.returnTo(x.QueryParam("returnTo")), Lang: h.chosenLanguage(x.QueryParam("lang")), IdentityProvider: passed(x, "provider"),
	}
	if len(errand.IdentityProvider) > session.MaxChoice {
		errand.IdentityProvider = "" // nor does the provider hear of it
	}
	pending, cookies, err := h.c.Sessions.Begin(x.cookies(), errand)
	if err != nil {
		return err
	}
	to, err := h.c.Provider.AuthURL(r.Context(), idp.AuthRequest{
		State: pending.State, Nonce: pending.Nonce, Verifier: pending.Verifier, SignUp: signUp,
		IdentityProvider: errand.IdentityProvider, Lang: passed(x, "lang"),
		LoginHint: passed(x, "login_hint"), Prompt: passed(x, "prompt"),
	})
	if err != nil {
		return h.fail(x, err, h.again(errand))
	}
	x.setCookies(cookies)
	return x.redirect(http.StatusFound, to)
}

// again is where a sign-in that failed is begun anew. login_hint is left out, for it is personal, and prompt, for it may be what failed.
func (h *Handlers) again(e session.Errand) string {
	to := withParameter(h.withReturnTo(h.AuthPath("sign-in"), e.ReturnTo), "provider", e.IdentityProvider)
	return withParameter(to, "lang", e.Lang)
}

// notANavigation turns away what a person did not ask for: prefetching links, scripts' requests and frames would pile up pending
// sign-ins until the Cookie header is too large. A prefetch gets nothing, the others are told that nobody is signed in.
func (h *Handlers) notANavigation(x *Exchange) (done bool, err error) {
	switch {
	case isPrefetch(x.Request().Header):
		x.Reason = "prefetch"
		return true, x.empty(http.StatusNoContent)
	case isScript(x.Request().Header):
		x.Reason = "script"
		return true, x.json(http.StatusUnauthorized, unauthorized)
	case isFramed(x.Request().Header):
		x.Reason = "frame"
		return true, x.json(http.StatusUnauthorized, unauthorized)
	}
	return false, nil
}

func isPrefetch(h http.Header) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if v := strings.ToLower(h.Get(name)); strings.Contains(v, "prefetch") || strings.Contains(v, "preview") {
			return true
		}
	}
	return h.Get("Next-Router-Prefetch") != "" || h.Get("X-Middleware-Prefetch") != ""
}

func isScript(h http.Header) bool {
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		return mode != "navigate"
	}
	return h.Get("Rsc") != "" || strings.EqualFold(h.Get("X-Requested-With"), "XMLHttpRequest") || takesNoPage(h["Accept"])
}

// isFramed finds what a page embeds. Our pages cannot be shown there and providers refuse it, but each would push out a sign-in that a person
// has begun. A navigation that went through a service worker says "empty".
func isFramed(h http.Header) bool {
	switch h.Get("Sec-Fetch-Dest") {
	case "iframe", "frame", "embed", "object", "fencedframe":
		return true
	}
	return false
}

// passed is a parameter for the provider: one, short, printable; "" otherwise.
func passed(x *Exchange, name string) string {
	v := x.QueryParams()[name]
	if len(v) != 1 || len(v[0]) > maxParameter || strings.ContainsFunc(v[0], func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return ""
	}
	return v[0]
}

// signedInName is how a page calls who is signed in; "" for nobody.
func (h *Handlers) signedInName(x *Exchange) string {
	s, err := h.c.Sessions.Load(x.Request().Context(), x.cookies())
	if err != nil {
		s, err = h.adopt(x, err)
	}
	if err != nil {
		return ""
	}
	return displayName(s)
}

func displayName(s *session.Session) string {
	c := readClaims(s)
	for _, name := range []string{"email", "name", "preferred_username", "cognito:username"} {
		if v, ok := c[name].(string); ok && v != "" {
			return v
		}
	}
	return s.Tokens.Subject
}
