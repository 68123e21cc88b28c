package handlers

import (
	"context"
	"net/http"
	"time"
)

// readyTimeout bounds what readiness waits for; probes have little patience.
const readyTimeout = time.Second

// Healthz says that the process is alive (GET /healthz).
func (h *Handlers) Healthz(x *Exchange) error {
	x.Response().Header()["Cache-Control"] = noStore
	return x.json(http.StatusOK, []byte(`{"status":"ok"}`))
}

// Readyz says whether requests can be served (GET /readyz): the provider's keys are held, the cache answers, and the process is
// not about to stop. With ?without=cache the cache is left out: in cookie mode living tokens are served without it, and an orchestrator
// that takes every replica away because the one cache they share is down would make an outage of a slowdown.
func (h *Handlers) Readyz(x *Exchange) error {
	x.Response().Header()["Cache-Control"] = noStore
	ctx, cancel := context.WithTimeout(x.Request().Context(), readyTimeout)
	defer cancel()
	switch {
	case h.draining.Load():
		return x.json(http.StatusServiceUnavailable, []byte(`{"status":"unavailable","reason":"stopping"}`))
	case h.c.Provider.Ready() != nil:
		return x.json(http.StatusServiceUnavailable, []byte(`{"status":"unavailable","reason":"provider"}`))
	case x.QueryParam("without") != "cache" && h.c.Store.Ping(ctx) != nil:
		return x.json(http.StatusServiceUnavailable, []byte(`{"status":"unavailable","reason":"cache"}`))
	}
	return x.json(http.StatusOK, []byte(`{"status":"ready"}`))
}
