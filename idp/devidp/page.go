package devidp

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/a-h/templ"
)

// maxHint bounds what is put back into a form, in bytes.
const maxHint = 320

//go:embed pages.css
var pagesCSS string

// problem is why a form comes back; it names a line in texts.
type problem string

const (
	problemCredentials problem = "credentials"
	problemExists      problem = "exists"
	problemDetails     problem = "details"
	problemFull        problem = "full"
)

// formView is a sign-in or sign-up form to show.
type formView struct {
	req         authRequest
	signUp      bool
	email, name string
	problem     problem
}

// page is a form as it is written.
type page struct {
	text              texts
	query             string // of the authorization request, encoded
	csrf, email, name string
	problem           string
	signUp            bool
}

func (p page) title() string {
	if p.signUp {
		return p.text.SignUp
	}
	return p.text.SignIn
}

// here and other are where the form goes and where its sibling is.
func (p page) here() templ.SafeURL { return p.at(p.signUp) }

func (p page) other() templ.SafeURL { return p.at(!p.signUp) }

func (p page) at(signUp bool) templ.SafeURL {
	if signUp {
		return templ.SafeURL("/signup?" + p.query)
	}
	return templ.SafeURL("/login?" + p.query)
}

// described ties a field to the problem that is shown.
func (p page) described() templ.Attributes {
	if p.problem == "" {
		return nil
	}
	return templ.Attributes{"aria-describedby": "problem"}
}

// policy is what the browser may do on these pages. The one style sheet inside them is admitted by its hash.
func policy(formAction string) string {
	return "default-src 'none'; style-src " + styleHash() + "; img-src data:; form-action " + formAction + "; base-uri 'none'; frame-ancestors 'none'"
}

var styleHash = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(pagesCSS))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
})

// showForm answers 400 when the form comes back with a problem, so that a program sees it too.
func (s *Server) showForm(w http.ResponseWriter, r *http.Request, v formView) {
	text := textsFor(v.req.query.Get("lang"))
	p := page{
		text: text, query: v.req.query.Encode(), csrf: s.csrfToken(w, r), signUp: v.signUp,
		email: v.email[:min(len(v.email), maxHint)], name: v.name[:min(len(v.name), maxHint)], problem: text.of(v.problem),
	}
	status := http.StatusOK
	if v.problem != "" {
		status = http.StatusBadRequest
	}
	s.show(w, r, status, p.form(), "'self' "+formTarget(v.req.redirectURI))
}

// errorPage shows a code that may come from anybody, so only known codes are repeated.
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request) {
	s.showError(w, r, http.StatusBadRequest, r.URL.Query().Get("error"))
}

func (s *Server) showError(w http.ResponseWriter, r *http.Request, status int, code string) {
	switch code {
	case "invalid_request", "invalid_client", "redirect_mismatch", "csrf":
	default:
		code = "unknown_error"
	}
	s.show(w, r, status, failed(textsFor("en"), code), "'none'")
}

func (s *Server) show(w http.ResponseWriter, r *http.Request, status int, body templ.Component, formAction string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", policy(formAction))
	templ.Handler(body, templ.WithStatus(status)).ServeHTTP(w, r)
}

// formTarget is the client's origin as a source of form-action. Chromium holds the redirect that follows a POST to
// form-action as well, so without it the browser would stop on the way back to the client. The grammar has no
// place for IPv6 addresses and private schemes have no host: there the scheme alone must do.
func formTarget(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return ""
	}
	ip := net.ParseIP(u.Hostname())
	if u.Host == "" || (ip != nil && ip.To4() == nil) {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}
