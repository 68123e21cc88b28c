package devidp

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// faulty puts the endpoint's fault, if one is set, before the endpoint.
func (s *Server) faulty(e endpoint, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.stats.arrived(e, r)
		fault, hit := s.faults.take(e)
		if !hit {
			next(w, r)
			return
		}
		s.stats.add(func(t *Stats) { t.Faults++ })
		fault.spoil(w, r, next)
	})
}

// spoil plays the fault. http.ErrAbortHandler closes the connection without an answer and without a log entry.
func (f Fault) spoil(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	if !wait(r.Context(), f.Latency) {
		panic(http.ErrAbortHandler)
	}
	switch {
	case f.DropBefore:
		panic(http.ErrAbortHandler)
	case f.DropAfter:
		next(unheard{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case f.answers():
		f.answer(w)
	default:
		next(w, r)
	}
}

// wait reports whether the time passed before the client gave up.
func wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// answer writes what the fault says. Errors of writing are the client's hanging up.
func (f Fault) answer(w http.ResponseWriter) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	status, kind, body := f.rubbish()
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func (f Fault) rubbish() (status int, contentType, body string) {
	const asJSON, asHTML = "application/json", "text/html; charset=utf-8"
	status = http.StatusOK
	if f.Status != 0 {
		status = f.Status
	}
	switch {
	case f.Throttle400:
		return http.StatusBadRequest, asJSON, `{"__type":"TooManyRequestsException","message":"Rate exceeded"}`
	case f.OAuthError != "":
		return http.StatusBadRequest, asJSON, `{"error":"` + f.OAuthError + `"}`
	case f.RawBody != "":
		return status, asJSON, f.RawBody
	case f.Body == BodyMalformed:
		return status, asJSON, `{"access_token": "ey`
	case f.Body == BodyHuge:
		return status, asJSON, `{"padding":"` + strings.Repeat("a", hugeBody) + `"}`
	case f.Body == BodyEmpty:
		return status, asJSON, ""
	}
	return status, asHTML, "<html><body><h1>" + http.StatusText(status) + "</h1></body></html>"
}

// unheard takes an answer that nobody will get.
type unheard struct {
	header http.Header
}

func (u unheard) Header() http.Header         { return u.header }
func (u unheard) Write(b []byte) (int, error) { return len(b), nil }
func (u unheard) WriteHeader(int)             {}
