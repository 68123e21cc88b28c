// Package handlers is HTTP on one side and sessions, provider and pages on the other. It owns what each route answers and the
// one table from error to answer (errors.go). It refuses to hold state: whatever outlives a request lives in session or idp.
//
//	route table (web) → Exchange → guard → handler → answer, or an error → Fail → answer in the route's form
//
// Read exchange.go for what a handler gets, then token.go, signin.go, callback.go, signout.go.
package handlers

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"vestibule/idp"
	"vestibule/kv"
	"vestibule/session"
	"vestibule/views"
)

// Config configures New. PublicURL, Sessions, Provider, Store and Views are required.
type Config struct {
	// PublicURL is what browsers see: origin and optional base path without a closing slash. Nothing is ever derived
	// from request headers.
	PublicURL *url.URL
	AuthPath  string // default /api/auth; below the base path, as TokenPath is
	TokenPath string // default /api/cognito-token

	RedirectOrigins []string    // further origins that returnTo may name and that may ask for tokens
	IncludeIDToken  bool        // adds idToken to the token answer
	KeepIDToken     func() bool // whether sessions keep the raw ID token; nil: never
	CSRFHeader      string      // header that the token answer demands; "": none
	SameSiteStrict  bool        // session cookies are SameSite=Strict: the callback moves on by a page of its own

	Sessions *session.Manager
	Provider *idp.Provider
	Store    kv.Store // asked by readiness only
	Views    *views.Views

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default
}

// Handlers answers the routes.
type Handlers struct {
	c        Config
	origins  map[string]bool // canonical origins that are ours or listed
	listed   []string        // the same, ours first
	draining atomic.Bool
}

// New makes the handlers; the error names what is missing.
func New(c Config) (*Handlers, error) {
	for name, missing := range map[string]bool{
		"PublicURL": c.PublicURL == nil, "Sessions": c.Sessions == nil, "Provider": c.Provider == nil,
		"Store": c.Store == nil, "Views": c.Views == nil,
	} {
		if missing {
			return nil, errors.New("handlers: Config." + name + " is missing")
		}
	}
	if c.AuthPath == "" {
		c.AuthPath = "/api/auth"
	}
	if c.TokenPath == "" {
		c.TokenPath = "/api/cognito-token"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	h := &Handlers{c: c, origins: map[string]bool{}}
	for _, o := range append([]string{c.PublicURL.Scheme + "://" + c.PublicURL.Host}, c.RedirectOrigins...) {
		origin, ok := canonicalOrigin(o)
		if !ok {
			return nil, errors.New("handlers: " + o + " is not an origin")
		}
		if !h.origins[origin] {
			h.origins[origin] = true
			h.listed = append(h.listed, origin)
		}
	}
	return h, nil
}

// Path gives a path of ours below the base path of the public URL.
func (h *Handlers) Path(p string) string { return h.c.PublicURL.Path + p }

// AuthPath gives the path of a route below auth_path.
func (h *Handlers) AuthPath(name string) string { return h.Path(h.c.AuthPath + "/" + name) }

// SetDraining makes readiness say no, so that a load balancer stops sending before anything closes.
func (h *Handlers) SetDraining() { h.draining.Store(true) }

func (h *Handlers) withReturnTo(path, returnTo string) string {
	if returnTo == "" || returnTo == "/" {
		return path
	}
	return path + "?returnTo=" + strings.ReplaceAll(url.QueryEscape(returnTo), "+", "%20")
}
