// Package web is the edge: the route table, what holds for every request (methods, guards, limits, panics, one record each),
// the listeners and the drain. It owns what is the same for all routes and refuses to know what a route means.
//
//	listener → route row → method, slash → guard → handler → answer or handlers.Fail → record: log line and metrics
//
// Read routes.go first, then dispatch.go.
package web

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"vestibule/handlers"
)

// Limits of the public listener.
const (
	headerTimeout  = 5 * time.Second
	bodyTimeout    = 15 * time.Second
	unreadTimeout  = time.Second      // for a body that nobody reads, after the answer
	writeTimeout   = 60 * time.Second // a refresh may keep a caller waiting for 15 s, a code exchange too
	idleTimeout    = 75 * time.Second // longer than nginx's keep-alive, so that nginx closes first
	maxHeaderBytes = 32<<10 - 4096    // net/http lets 4,096 bytes more pass than it is told
	// Both together are what orchestrators commonly grant between SIGTERM and SIGKILL.
	requestsTimeout   = 20 * time.Second // for requests under way
	backgroundTimeout = 10 * time.Second // for refreshes that nobody waits for any more
	adminTimeout      = time.Second      // for probes and scrapes under way, at the very end
)

// StopTimeout is the longest that Serve takes to return once ShutdownDelay is over. What kills should wait as long, and a little more.
const StopTimeout = requestsTimeout + backgroundTimeout + adminTimeout

// Config configures New. Handlers, Assets and Metrics are required.
type Config struct {
	Handlers  *handlers.Handlers
	Assets    Assets // what /static/* serves
	Metrics   *Metrics
	BasePath  string // path of the public URL, without a closing slash
	AuthPath  string
	TokenPath string
	Home      handlers.Handler // what "/" serves; nil: as Fallback
	Burst     *Burst           // the demo's page about machine tokens; nil: there is none
	Fallback  handlers.Handler // what every address gets that is not in the table; nil: 404

	TrustedProxies []netip.Prefix
	ShutdownDelay  time.Duration // between readiness saying no and the listener closing

	// Leave ends what would never end by itself, sockets and streams, while requests are drained; nil: there is nothing of the kind.
	Leave  func(context.Context) error
	Drain  func(context.Context) error // waits for what handlers started in the background; nil: nothing
	Now    func() time.Time            // default time.Now
	Logger *slog.Logger                // default: discards
}

// Burst is the demo's page about machine tokens, and what its one button does.
type Burst struct {
	Page handlers.Handler // GET /machine
	Send handlers.Handler // POST /machine/burst
}

// Assets are files of ours, by URL path.
type Assets interface {
	http.Handler
	Has(path string) bool
}

// Server serves the public and the admin routes.
type Server struct {
	c      Config
	public http.Handler
	admin  http.Handler
	// address is the method client, as a value that is made once.
	address func(*http.Request) string

	draining atomic.Bool
}

// New builds both route tables; the error names what is missing.
func New(c Config) (*Server, error) {
	if c.Handlers == nil || c.Assets == nil || c.Metrics == nil {
		return nil, errors.New("web: Config.Handlers, Assets and Metrics are required")
	}
	rest := Route{Path: "*", Body: true, Handler: c.Fallback}
	if c.Fallback == nil {
		rest = Route{Path: "*", Handler: c.Handlers.NotFound}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Metrics.streams(c.Handlers.Streams)
	s := &Server{c: c}
	s.address = s.client
	s.public = s.mount(c.BasePath, s.routes(), rest)
	s.admin = s.mount("", s.adminRoutes(), Route{Path: "*", Handler: c.Handlers.NotFound})
	return s, nil
}

// Handler is the public side as an http.Handler.
func (s *Server) Handler() http.Handler { return s.public }

// AdminHandler is the admin side as an http.Handler.
func (s *Server) AdminHandler() http.Handler { return s.admin }

// Serve serves on the listeners until ctx ends, then drains: readiness says no and each answer is its connection's last, after
// ShutdownDelay no connection is taken any more, what is under way is finished. It returns when all of that is done. admin may be nil.
func (s *Server) Serve(ctx context.Context, public, admin net.Listener) error {
	servers := []*http.Server{s.httpServer(s.public)}
	listeners := []net.Listener{public}
	if admin != nil {
		servers, listeners = append(servers, s.httpServer(s.admin)), append(listeners, admin)
	}
	failed := make(chan error, len(servers))
	for i, server := range servers {
		go func() { failed <- server.Serve(listeners[i]) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, s.drain(context.WithoutCancel(ctx), servers))
}

// drain closes the public side first: the admin side goes on answering probes while requests finish.
func (s *Server) drain(ctx context.Context, servers []*http.Server) error {
	s.c.Handlers.SetDraining()
	s.draining.Store(true)
	s.c.Logger.Info("stopping", "delay", s.c.ShutdownDelay.String())
	delay := time.NewTimer(s.c.ShutdownDelay)
	defer delay.Stop()
	<-delay.C
	left := make(chan error, 1)
	go func() { left <- s.leave(ctx) }()
	var faults []error
	for i, server := range servers {
		if i > 0 {
			faults = append(faults, finish(ctx, server, adminTimeout))
			continue
		}
		faults = append(faults, finish(ctx, server, requestsTimeout), <-left, s.drainBackground(ctx))
	}
	return errors.Join(faults...)
}

// finish lets requests end, and cuts those that do not: a client that reads nothing must not take the time of what follows.
func finish(ctx context.Context, server *http.Server, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were still under way after %s: %w", limit, err), server.Close())
	}
	return nil
}

func (s *Server) leave(ctx context.Context) error {
	s.c.Handlers.Leave()
	if s.c.Leave == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestsTimeout)
	defer cancel()
	return s.c.Leave(ctx)
}

func (s *Server) drainBackground(ctx context.Context) error {
	if s.c.Drain == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, backgroundTimeout)
	defer cancel()
	if err := s.c.Drain(ctx); err != nil {
		return fmt.Errorf("refreshes were still under way after %s: %w", backgroundTimeout, err)
	}
	return nil
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// net/http logs TLS and protocol noise of scanners here, with addresses only; it is worth a debug line.
		ErrorLog: log.New(debugWriter{s.c.Logger}, "", 0),
	}
}

type debugWriter struct{ log *slog.Logger }

// Write implements io.Writer.
func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Debug("http", "message", string(p[:min(len(p), 500)]))
	return len(p), nil
}
