package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"vestibule/handlers"
)

// mount registers a table. Every row takes all methods of its address, so that what an address answers to the wrong method is
// decided here and not by the router. rest gets what no row serves.
func (s *Server) mount(base string, table []Route, rest Route) http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(debugWriter{s.c.Logger})
	nothing := s.prepare(rest)
	all := map[string]echo.HandlerFunc{}
	add := func(path string, h echo.HandlerFunc) {
		e.Any(path, h)
		if strings.HasSuffix(path, "*") {
			e.RouteNotFound(path, h) // else echo itself would answer methods that it has never heard of
		}
		all[path] = h
	}
	for _, row := range table {
		r := s.prepare(row)
		r.other = nothing
		path := base + row.Path
		add(path, r.serve)
		if row.Path == "/" && base != "" {
			add(base, r.serve) // people write the path of the public URL without its slash
		}
		if !strings.HasSuffix(path, "/") && !strings.HasSuffix(path, "*") && !takesRest(table, row.Path) {
			slash := row
			slash.Handler, slash.Body = permanently(path), false
			r := s.prepare(slash)
			r.other = nothing
			add(path+"/", r.serveAnyMethod)
		}
	}
	e.RouteNotFound("/*", func(c echo.Context) error {
		// A method that the router has never heard of ends up here too.
		if h, ok := all[c.Request().URL.Path]; ok {
			return h(c)
		}
		return nothing.serveAnyMethod(c)
	})
	return s.withPath(e)
}

// takesRest says whether what is below path has a row of its own, "/" at its end included: that one must not be sent elsewhere.
func takesRest(table []Route, path string) bool {
	return slices.ContainsFunc(table, func(r Route) bool { return r.Path == path+"/*" })
}

// withPath sees to requests whose target is no path, which the router would answer in its own way.
func (s *Server) withPath(e *echo.Echo) http.Handler {
	never := s.prepare(Route{Path: "*", Handler: s.c.Handlers.NotFound})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/"):
			e.ServeHTTP(w, r)
		case r.URL.Path == "" && r.URL.Host != "" && r.Method != http.MethodConnect:
			// "GET http://host HTTP/1.1": an empty path is "/" (RFC 9112, section 3.2.2).
			root := *r.URL
			root.Path = "/"
			whole := r.WithContext(r.Context())
			whole.URL = &root
			e.ServeHTTP(w, whole)
		default: // "*", or the host and port of a tunnel
			_ = never.serveAnyMethod(e.NewContext(r, w)) // it answers errors itself
		}
	})
}

// permanently sends a trailing slash to the address without it, the query kept. 308: the method stays (RFC 9110, 15.4.9).
func permanently(path string) handlers.Handler {
	return func(x *handlers.Exchange) error {
		to := path
		if q := x.Request().URL.RawQuery; q != "" {
			to += "?" + q
		}
		h := x.Response().Header()
		h.Set("Location", to)
		x.Response().WriteHeader(http.StatusPermanentRedirect)
		return nil
	}
}

var closing = []string{"close"}

// row is a route made ready: what can be known before a request comes is known.
type row struct {
	Route
	s       *Server
	other   *row         // gets what this one does not serve
	allow   []string     // the Allow header
	lines   slog.Handler // names the route
	metrics rowMetrics
}

func (s *Server) prepare(r Route) *row {
	methods := append(slices.Clone(r.Methods), http.MethodOptions)
	slices.Sort(methods)
	methods = slices.Compact(methods)
	return &row{Route: r, s: s, allow: []string{strings.Join(methods, ", ")}, lines: s.c.Logger.With("route", r.Path).Handler(), metrics: s.c.Metrics.row(r.Path)}
}

func (r *row) serve(c echo.Context) error {
	if r.notOurs(c.Request().URL) {
		return r.other.serveAnyMethod(c)
	}
	return r.run(c, r.byMethod)
}

func (r *row) serveAnyMethod(c echo.Context) error {
	if r.other != nil && r.notOurs(c.Request().URL) {
		return r.other.serveAnyMethod(c)
	}
	return r.run(c, r.Handler)
}

// notOurs: "/api/cognito%2Dtoken". No client of good faith writes our paths so, and a proxy's rules would not know them. What a "*"
// takes may be written in any way, unless the row knows better.
func (r *row) notOurs(u *url.URL) bool {
	if r.Serves != nil {
		return u.RawPath != "" || !r.Serves(u.Path)
	}
	return u.RawPath != "" && !strings.HasSuffix(r.Path, "*")
}

// byMethod answers OPTIONS and unknown methods, and applies the guard before the handler.
func (r *row) byMethod(x *handlers.Exchange) error {
	method := x.Request().Method
	if r.AnyMethod || slices.Contains(r.Methods, method) {
		if err := r.s.c.Handlers.Check(x, r.Guard); err != nil {
			return err
		}
		return r.Handler(x)
	}
	h := x.Response().Header()
	h["Allow"] = r.allow
	if method == http.MethodOptions {
		x.Response().WriteHeader(http.StatusNoContent)
		return nil
	}
	return handlers.ErrMethod
}

// run surrounds a handler with what every request has: a bounded body, an answer to errors and panics, one record.
func (r *row) run(c echo.Context, h handlers.Handler) error {
	x := handlers.Exchange{Context: c, Form: r.Form, Address: r.s.address}
	x.Negotiate()
	start := r.s.c.Now()
	if r.s.draining.Load() {
		lastOfItsConnection(&x)
	}
	if c.Request().ContentLength != 0 {
		r.boundBody(&x)
	}
	defer func() {
		p, begun := recover(), x.Response().Committed
		if p != nil && p != http.ErrAbortHandler { // that one is net/http's own way of cutting a connection
			r.panicked(&x, p)
		}
		r.record(&x, start)
		if p == http.ErrAbortHandler || (p != nil && begun) {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
	}()
	if r.Form != handlers.FormAny {
		x.Private()
	}
	if err := h(&x); err != nil {
		if err = r.s.c.Handlers.Fail(&x, err); err != nil {
			x.Err = err
		}
	}
	return nil
}

// lastOfItsConnection has the client use another connection for what comes next. A connection that is closed while nobody uses it may
// be closed just as a request arrives there, which is lost then; this way none is left when the process goes. A handshake says itself
// what becomes of its connection.
func lastOfItsConnection(x *handlers.Exchange) {
	if x.Request().Header.Get("Upgrade") == "" {
		x.Response().Header()["Connection"] = closing
	}
}

// boundBody keeps a slow body from holding a connection; the forms' handlers bound its size. For a body that nobody reads the answer
// would wait, because net/http wants to use the connection again: a proxy that announces one and sends none would wait with it.
func (r *row) boundBody(x *handlers.Exchange) {
	patience := bodyTimeout
	if !r.Body {
		x.Response().Header()["Connection"] = closing
		patience = unreadTimeout
	}
	_ = http.NewResponseController(x.Response()).SetReadDeadline(time.Now().Add(patience)) // not every writer has one: tests
}

// panicked makes a panic one record with a stack and a 500; the process goes on.
func (r *row) panicked(x *handlers.Exchange, p any) {
	x.Err = fmt.Errorf("%w: %v\n%s", handlers.ErrPanic, p, debug.Stack())
	_ = r.s.c.Handlers.Fail(x, x.Err) // the client may be gone; the record tells the panic
}
