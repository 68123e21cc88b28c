package devidp

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
)

// maxHint bounds what is put back into a form, in bytes.
const maxHint = 320

//go:embed pages.html
var pagesHTML string

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

// pages are the templates and the hash by which the policy admits the one style sheet inside them.
type pages struct {
	t         *template.Template
	styleHash string
}

func newPages() (*pages, error) {
	t, err := template.New("devidp").Parse(pagesHTML)
	if err != nil {
		return nil, fmt.Errorf("parse the pages: %w", err)
	}
	sum := sha256.Sum256([]byte(pagesCSS))
	return &pages{t: t, styleHash: "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"}, nil
}

// page is what the templates read. Style is ours; all else is escaped.
type page struct {
	Text    texts
	Style   template.CSS
	Query   template.URL // of the authorization request, encoded, so that it is not encoded again
	CSRF    string
	Email   string
	Name    string
	Problem string
	SignUp  bool
	Code    string // of the error page
}

// showForm answers 400 when the form comes back with a problem, so that a program sees it too.
func (s *Server) showForm(w http.ResponseWriter, r *http.Request, v formView) {
	text := textsFor(v.req.query.Get("lang"))
	p := page{
		Text: text, Query: template.URL(v.req.query.Encode()), CSRF: s.csrfToken(w, r), SignUp: v.signUp,
		Email: v.email[:min(len(v.email), maxHint)], Name: v.name[:min(len(v.name), maxHint)], Problem: text.of(v.problem),
	}
	status := http.StatusOK
	if v.problem != "" {
		status = http.StatusBadRequest
	}
	s.show(w, status, "form", p, "'self' "+formTarget(v.req.redirectURI))
}

// errorPage shows a code that may come from anybody, so only known codes are repeated.
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request) {
	s.showError(w, http.StatusBadRequest, r.URL.Query().Get("error"))
}

func (s *Server) showError(w http.ResponseWriter, status int, code string) {
	switch code {
	case "invalid_request", "invalid_client", "redirect_mismatch", "csrf":
	default:
		code = "unknown_error"
	}
	s.show(w, status, "error", page{Text: textsFor("en"), Code: code}, "'none'")
}

func (s *Server) show(w http.ResponseWriter, status int, name string, p page, formAction string) {
	p.Style = template.CSS(pagesCSS)
	var b bytes.Buffer
	if err := s.pages.t.ExecuteTemplate(&b, name, p); err != nil {
		s.fail(w, "render a page", err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+s.pages.styleHash+
		"; img-src data:; form-action "+formAction+"; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
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
