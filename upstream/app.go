// Package upstream is what lies behind us: here, the web application that everything goes to which Vestibule does not serve
// itself. It owns what that application hears and what comes back: our cookies and whatever could pass for our word about
// who asks are taken out on the way in, our cookie names on the way out; paths, bodies, streams and sockets pass as they are.
// It refuses to decide who is signed in, to pass on upgrades other than WebSocket, and to let half an answer look whole.
//
//	Serve → rewrite (request.go) → application → answer (answer.go) → the browser, or an error with nothing written
//
// Read this file first, then request.go; drain.go and socket.go are about stopping.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// What can go wrong before an answer has begun.
var (
	// ErrAppUnavailable means that the application refuses connections, answers something that is no HTTP, or leads back to us.
	ErrAppUnavailable = errors.New("the application is not available")
	// ErrAppTimeout means that the application took no connection, or began no answer, in time.
	ErrAppTimeout = errors.New("the application does not answer in time")
	// ErrRequestBody means that the browser broke off its request's body, or that it is malformed.
	ErrRequestBody = errors.New("the body of the request did not come whole")
	// ErrRequestTimeout means that too long passed between two parts of the request's body.
	ErrRequestTimeout = errors.New("the body of the request did not come in time")
	// ErrVisitorGone means that the browser went away before there was an answer.
	ErrVisitorGone = errors.New("the browser went away")
)

const (
	patience = 60 * time.Second // for a browser that reads or writes nothing; for the application's first word
	linger   = 5 * time.Second  // for the rest of a request whose answer has been given
	farewell = 2 * time.Second  // between a good-bye and the cut
)

// AppConfig configures NewApp. Target, PublicURL, Strip and Owns are required.
type AppConfig struct {
	Target    *url.URL // origin of the application: http or https, no path
	PublicURL *url.URL // what browsers see: Host and X-Forwarded-Host, -Proto, -Port are made of it, never of request headers

	Strip func(lines []string) []string // gives Cookie header lines without our cookies
	Owns  func(cookieName string) bool  // our cookie names: the application may set none of them

	// Trusted are the proxies whose X-Forwarded-For is kept and added to.
	Trusted []netip.Prefix

	// HeaderTimeout is how long the application may take until its answer begins; default 60 s. How long the answer then takes is
	// its own affair.
	HeaderTimeout time.Duration
	// Transport reaches the application; default: one made for a single backend (transport.go).
	Transport http.RoundTripper
	Logger    *slog.Logger // default: discards
}

// Visitor is what we say of who asks. The zero value is somebody who is not signed in.
type Visitor struct {
	Bearer    string      // access token, for Authorization; "": nobody is signed in
	Identity  http.Header // identity headers, under canonical names that GuardsIdentity knows
	SetCookie []string    // Set-Cookie lines of ours for the answer

	// Standing is done when the session is over: sockets and streams end then, those too that open only afterwards. nil: they are nobody's.
	Standing context.Context
	Left     time.Duration // sockets and streams end in this time at the latest; 0: they have no such end
}

// known says whether the application hears of somebody.
func (v *Visitor) known() bool { return v.Bearer != "" || len(v.Identity) > 0 }

// App is the application behind us. Make it with NewApp; its methods are safe for concurrent use.
type App struct {
	c         AppConfig
	origin    string
	name      string      // by which we know a request that was here before
	circles   sync.Once   // said that requests come back
	forwarded http.Header // X-Forwarded-* that are the same for everybody
	buffers   buffers
	open      registry
	silent    *log.Logger // what httputil would say: it may quote an answer

	patience, linger, farewell time.Duration
}

// NewApp makes an App; the error names what is missing.
func NewApp(c AppConfig) (*App, error) {
	for name, missing := range map[string]bool{
		"Target": c.Target == nil, "PublicURL": c.PublicURL == nil, "Strip": c.Strip == nil, "Owns": c.Owns == nil,
	} {
		if missing {
			return nil, errors.New("upstream: AppConfig." + name + " is missing")
		}
	}
	if !isOrigin(c.Target) {
		return nil, errors.New("upstream: AppConfig.Target is not an origin: scheme http or https, host and port, and nothing else")
	}
	if c.HeaderTimeout <= 0 {
		c.HeaderTimeout = patience
	}
	if c.Transport == nil {
		c.Transport = newTransport(c.HeaderTimeout)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &App{
		c: c, origin: c.Target.Scheme + "://" + c.Target.Host, name: newName(), forwarded: forwardedHeaders(c.PublicURL),
		open: newRegistry(), silent: log.New(io.Discard, "", 0),
		patience: patience, linger: linger, farewell: farewell,
	}, nil
}

func isOrigin(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.Opaque == "" &&
		(u.Path == "" || u.Path == "/") && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// passage is one request on its way through.
type passage struct {
	app      *App
	visitor  Visitor
	upgrade  bool // a WebSocket was asked for
	in       *http.Request
	w        *writer
	body     *body // of the request; nil: none
	lasting  lasting
	limit    *time.Timer        // ends it at the session's absolute end
	watched  func() bool        // stops waiting for the session's end; nil: nobody waits
	giveUp   context.CancelFunc // ends the request to the application
	failure  error
	outTrail http.Header // trailers of the request, filled in when its body has come
}

// Serve passes a request on and gives its answer to w. An error, one of those above, means that nothing has been written. It
// panics with http.ErrAbortHandler when the application breaks off within an answer. CONNECT and TRACE are not for it: the
// first asks for a tunnel, the second for an echo of the headers that are added here.
func (a *App) Serve(w http.ResponseWriter, r *http.Request, v Visitor) error {
	for name := range v.Identity {
		if !GuardsIdentity(name) {
			return fmt.Errorf("pass on %s: whoever is not signed in could send it too", name)
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	p := &passage{app: a, visitor: v, upgrade: wantsWebSocket(r), in: r, w: newWriter(w, r, a.patience), giveUp: cancel}
	defer p.end()
	out := p.request(ctx)
	if a.isBack(r) {
		return a.circle()
	}
	proxy := httputil.ReverseProxy{
		Rewrite: p.rewrite, ModifyResponse: p.answer, ErrorHandler: p.fail,
		Transport: a.c.Transport, FlushInterval: -1, BufferPool: &a.buffers, ErrorLog: a.silent,
	}
	proxy.ServeHTTP(p.w, out)
	return p.failure
}

// request is the request that the proxy starts from.
func (p *passage) request(ctx context.Context) *http.Request {
	r := p.in.WithContext(ctx)
	if _, asks := r.Header["Upgrade"]; asks && !p.upgrade {
		// Another protocol ("h2c") would be a tunnel in which the next requests say of themselves who they are. A server
		// may overlook the wish (RFC 9110, section 7.8).
		r.Header = r.Header.Clone()
		r.Header.Del("Upgrade")
	}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		p.body = newBody(r.Body, p)
		r.Body, p.w.body = p.body, p.body
	}
	return r
}

// fail is told of what stops a request before its answer.
func (p *passage) fail(_ http.ResponseWriter, r *http.Request, err error) {
	var timeout interface{ Timeout() bool }
	switch {
	case p.w.hijacked(): // the browser hangs up within the handshake: nobody is left to tell
		return
	case p.body != nil && p.body.broken() != nil: // before the context, which net/http ends for the same reason
		p.failure = ErrRequestBody
		if errors.As(p.body.broken(), &timeout) && timeout.Timeout() {
			p.failure = ErrRequestTimeout
		}
	case r.Context().Err() != nil:
		p.failure = ErrVisitorGone
	case errors.As(err, &timeout) && timeout.Timeout():
		p.failure = fmt.Errorf("%w: %s: %s", ErrAppTimeout, p.app.origin, cause(err))
	default:
		p.failure = fmt.Errorf("%w: %s: %s", ErrAppUnavailable, p.app.origin, cause(err))
	}
}

// end leaves the connection in a state that the next request, or an error page, can use.
func (p *passage) end() {
	if p.lasting != nil {
		p.endLasting()
	}
	if p.w.hijacked() {
		return
	}
	p.w.extend()
	if p.body != nil {
		p.body.end()
		p.w.closeUnread() // before an error page
	}
}

func (p *passage) endLasting() {
	if p.limit != nil {
		p.limit.Stop()
	}
	if p.watched != nil {
		p.watched()
	}
	p.app.open.remove(p.lasting)
	p.lasting.end()
}
