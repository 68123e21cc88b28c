package eventsdev

import (
	"net/http"
	"regexp"

	"vestibule/loopback"
)

// routes is the whole surface: AppSync's two paths, and under /eventsdev/ what tests in other processes look at and pull.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /event/realtime", s.realtime)
	mux.Handle("POST /event", anyOrigin(http.HandlerFunc(s.publishOverHTTP)))
	mux.Handle("OPTIONS /event", anyOrigin(http.HandlerFunc(preflight)))

	mux.HandleFunc("GET /eventsdev/stats", s.showStats)
	// A page of another origin, open in the developer's browser beside the demo, must not cut sockets.
	mux.Handle("POST /eventsdev/drop", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.dropOnRequest)))
	return s.sockets.tracked(loopback.Only(s.own, mux))
}

// anyOrigin lets every page read the answers, as AppSync does: what protects a publish is the token in its header, which
// no browser adds by itself.
func anyOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		next.ServeHTTP(w, r)
	})
}

// headerNames is a list of header names as browsers ask for it (Fetch standard: lower case, comma-separated).
var headerNames = regexp.MustCompile(`^[a-z0-9-]+(, ?[a-z0-9-]+)*$`)

// preflight allows the very headers that are asked for: the star does not cover authorization (Fetch standard, CORS-preflight fetch).
func preflight(w http.ResponseWriter, r *http.Request) {
	if asked := r.Header.Get("Access-Control-Request-Headers"); len(asked) <= 1<<10 && headerNames.MatchString(asked) {
		w.Header().Set("Access-Control-Allow-Headers", asked)
	}
	w.Header().Set("Access-Control-Allow-Methods", "POST, OPTIONS")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.Header().Add("Vary", "Access-Control-Request-Headers")
	w.WriteHeader(http.StatusOK)
}
