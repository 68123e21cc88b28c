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
	"runtime/debug"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"vestibule/idp"
	"vestibule/kv"
	"vestibule/machine"
	"vestibule/session"
	"vestibule/session/amplify"
	"vestibule/upstream"
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
	Scopes          []string    // what sign-ins ask for; those of a session whose provider does not tell what it granted
	IncludeIDToken  bool        // adds idToken to the token answer
	KeepIDToken     func() bool // whether sessions keep the raw ID token; nil: never
	CSRFHeader      string      // header that the token answer demands; "": none
	SameSiteStrict  bool        // session cookies are SameSite=Strict: the callback moves on by a page of its own

	Amplify *amplify.Cookies // adopts sessions of Amplify's Next.js adapter; nil: their cookies are not looked at

	ListSessions bool // people can see where they are signed in, and sign out there: the sessions are in server mode

	AdminToken func() []byte // current token of operators who end sessions on the admin listener; nil: nobody may

	App *upstream.App // the web application behind us; nil: there is none

	Sessions *session.Manager
	Provider *idp.Provider
	Store    kv.Store       // remembers logout tokens that were used; readiness asks it
	Machine  *machine.Cache // answers services; nil: it is off
	Views    *views.Views

	Beat    time.Duration // between two signs of life on an event stream; default 20 s
	Look    time.Duration // between two questions whether the session of an event stream, or of a socket of the application's, still stands, from half to one and a half of it; default 10 min
	Streams int           // event streams that are open at the same time at most; default: what StreamsWithin gives for this process

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default
	// Audit gets a line for each machine token that a named client was given or refused, and is not asked for its level. Default: Logger's.
	Audit slog.Handler
}

// Handlers answers the routes.
type Handlers struct {
	c        Config
	origins  map[string]bool // canonical origins that are ours or listed
	listed   []string        // the same, ours first
	draining atomic.Bool

	introduced *lru.Cache[*session.Session, introduction]
	streams    *streams
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
	if c.Beat <= 0 {
		c.Beat = signOfLife
	}
	if c.Look <= 0 {
		c.Look = lookAgain
	}
	if c.Streams <= 0 {
		c.Streams = StreamsWithin(debug.SetMemoryLimit(-1)) // -1 changes nothing
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Audit == nil {
		c.Audit = c.Logger.Handler()
	}
	introduced, err := lru.New[*session.Session, introduction](remembered)
	if err != nil {
		return nil, err
	}
	h := &Handlers{c: c, origins: map[string]bool{}, introduced: introduced, streams: newStreams(c.Streams)}
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

// Leave ends the event streams, which would never end by themselves. Browsers connect anew, to another replica where there is one.
func (h *Handlers) Leave() { h.streams.leave() }

// Streams is how many event streams are open.
func (h *Handlers) Streams() int { return h.streams.held() }

func (h *Handlers) withReturnTo(path, returnTo string) string {
	if returnTo == "" || returnTo == h.Path("/") {
		return path
	}
	return withParameter(path, "returnTo", returnTo)
}
