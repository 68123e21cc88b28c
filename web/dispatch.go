package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"vestibule/handlers"
)

// mount registers a table. Every row takes all methods of its address, so that what an address answers to the wrong method is
// decided here and not by the router.
func (s *Server) mount(base string, table []Route) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(debugWriter{s.c.Logger})
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
		path := base + row.Path
		add(path, r.serve)
		if !strings.HasSuffix(path, "/") && !strings.HasSuffix(path, "*") {
			slash := row
			slash.Handler = permanently(path)
			add(path+"/", s.prepare(slash).serveAnyMethod)
		}
	}
	nothing := s.prepare(Route{Path: "*", Methods: get, Handler: s.c.Handlers.NotFound})
	e.RouteNotFound("/*", func(c echo.Context) error {
		// A method that the router has never heard of ends up here too.
		if h, ok := all[c.Request().URL.Path]; ok {
			return h(c)
		}
		return nothing.serveAnyMethod(c)
	})
	return e
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

// row is a route made ready: what can be known before a request comes is known.
type row struct {
	Route
	s       *Server
	allow   []string     // the Allow header
	lines   slog.Handler // names the route
	metrics rowMetrics
}

func (s *Server) prepare(r Route) *row {
	methods := append(slices.Clone(r.Methods), http.MethodOptions)
	slices.Sort(methods)
	return &row{Route: r, s: s, allow: []string{strings.Join(methods, ", ")}, lines: s.c.Logger.With("route", r.Path).Handler(), metrics: s.c.Metrics.row(r.Path)}
}

func (r *row) serve(c echo.Context) error {
	if c.Request().URL.RawPath != "" && !strings.HasSuffix(r.Path, "*") {
		// "/api/cognito%2Dtoken": no client of good faith writes our paths so, and a proxy's rules would not know them.
		return r.run(c, r.s.c.Handlers.NotFound)
	}
	return r.run(c, r.byMethod)
}

func (r *row) serveAnyMethod(c echo.Context) error { return r.run(c, r.Handler) }

// byMethod answers OPTIONS and unknown methods, and applies the guard before the handler.
func (r *row) byMethod(x *handlers.Exchange) error {
	method := x.Request().Method
	if slices.Contains(r.Methods, method) {
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
	x := handlers.Exchange{Context: c, Form: r.Form}
	start := r.s.c.Now()
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

// boundBody keeps a slow body from holding a connection; the forms' handlers bound its size.
func (r *row) boundBody(x *handlers.Exchange) {
	_ = http.NewResponseController(x.Response()).SetReadDeadline(time.Now().Add(bodyTimeout)) // not every writer has one: tests
}

// panicked makes a panic one record with a stack and a 500; the process goes on.
func (r *row) panicked(x *handlers.Exchange, p any) {
	x.Err = fmt.Errorf("%w: %v\n%s", handlers.ErrPanic, p, debug.Stack())
	_ = r.s.c.Handlers.Fail(x, x.Err) // the client may be gone; the record tells the panic
}
