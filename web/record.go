package web

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"vestibule/handlers"
)

// maxLoggedPath bounds the path of an unknown address in the log, in bytes.
const maxLoggedPath = 200

// record turns one request into one log line and its metrics. It tells the route's pattern and never a query: codes, states
// and tokens stand there.
func (r *row) record(x *handlers.Exchange, start time.Time) {
	now := r.s.c.Now()
	took := now.Sub(start)
	status := statusOf(x)
	method := knownMethod(x.Request().Method)
	r.metrics.observe(method, status, took)
	level := r.level(x.Err, status)
	ctx := x.Request().Context()
	if !r.lines.Enabled(ctx, level) {
		return
	}
	// The record is made here because slog would look up its caller, which costs as much as writing it.
	line := slog.NewRecord(now, level, "request", 0)
	r.describe(&line, x, status, took)
	_ = r.lines.Handle(ctx, line) // a log that cannot be written has nobody to tell
}

// statusHungUp is nginx's status for who hung up before the answer. No client ever sees it: there is nobody left.
const statusHungUp = 499

// statusOf is the status that the record tells. A failure because the client went away is no outage: what was sent into the closed
// connection counts for nothing.
func statusOf(x *handlers.Exchange) int {
	if status := x.Response().Status; status < 400 || !x.HungUp() {
		return status
	}
	return statusHungUp
}

func (r *row) level(err error, status int) slog.Level {
	switch {
	case errors.Is(err, handlers.ErrPanic): // whatever status had been sent by then
		return slog.LevelError
	case status >= 500 && !(status == http.StatusServiceUnavailable && r.Quiet):
		return slog.LevelError
	case r.Quiet:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// describe fills in the line. What every line has fits the attributes that slog keeps without allocating, since it is written for
// every token answer; the rest is there when there is something to tell.
func (r *row) describe(line *slog.Record, x *handlers.Exchange, status int, took time.Duration) {
	req := x.Request()
	line.AddAttrs(
		slog.String("method", knownMethod(req.Method)),
		slog.Int("status", status),
		slog.Int64("took_us", took.Microseconds()),
		slog.String("client", r.s.client(req)),
	)
	add := func(name, value string) {
		if value != "" {
			line.AddAttrs(slog.String(name, value))
		}
	}
	add("session", x.Session)
	add("denied", x.Denied)
	add("reason", x.Reason)
	add("cache", x.Cache)
	if x.Refreshed {
		line.AddAttrs(slog.Bool("refreshed", true))
	}
	if r.Path == "*" {
		add("path", req.URL.Path[:min(len(req.URL.Path), maxLoggedPath)])
	}
	if x.Err != nil && !expected(x.Err) {
		add("error", x.Err.Error())
	}
	add("id", x.KnownID())
}

// expected errors are told by the status and the facts already.
func expected(err error) bool {
	return errors.Is(err, handlers.ErrNotFound) || errors.Is(err, handlers.ErrMethod) || errors.Is(err, handlers.ErrCrossSite)
}

// knownMethod keeps what strangers write out of labels.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodPatch:
		return m
	}
	return "other"
}

// client is the address that the request came from. X-Forwarded-For is believed only as far as trusted proxies wrote it: it is
// walked from the right until an address that is none of them.
func (s *Server) client(r *http.Request) string {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	ip := addr.Addr().Unmap()
	lines := r.Header["X-Forwarded-For"]
	if len(lines) == 0 || !s.trusted(ip) {
		return ip.String()
	}
	hops := strings.Split(strings.Join(lines, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if ip = hop.Unmap(); !s.trusted(ip) {
			break
		}
	}
	return ip.String()
}

func (s *Server) trusted(ip netip.Addr) bool {
	for _, p := range s.c.TrustedProxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
