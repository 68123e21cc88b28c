package devidp

import (
	"mime"
	"net/http"
	"net/url"
	"strings"

	"vestibule/loopback"
)

// maxBody bounds every request body, in bytes.
const maxBody = 64 << 10

// routes is the whole surface: Cognito's paths, and under /devidp/ the switches of the demo.
func (s *Server) routes() http.Handler {
	pool := "/" + s.cfg.PoolID
	mux := http.NewServeMux()
	mux.Handle("GET "+pool+"/.well-known/openid-configuration", s.faulty(atDiscovery, s.discovery))
	mux.Handle("GET "+pool+"/.well-known/jwks.json", s.faulty(atJWKS, s.jwks))

	mux.HandleFunc("GET /oauth2/authorize", s.authorize)
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("GET /signup", s.signupPage)
	mux.HandleFunc("POST /signup", s.signup)
	mux.HandleFunc("GET /logout", s.logout)
	mux.HandleFunc("GET /error", s.errorPage)

	mux.Handle("POST /oauth2/token", s.form(s.faulty(atToken, s.token)))
	mux.Handle("POST /oauth2/revoke", s.form(s.faulty(atRevoke, s.revoke)))
	mux.HandleFunc("GET /oauth2/userInfo", s.userInfo)
	mux.HandleFunc("POST /oauth2/userInfo", s.userInfo)

	mux.HandleFunc("GET /devidp/stats", s.showStats)
	mux.HandleFunc("GET /devidp/faults", s.showFaults)
	mux.Handle("POST /devidp/faults", ownOriginOnly(s.changeFaults))
	mux.Handle("POST /devidp/roll-keys", ownOriginOnly(s.changeKeys))
	mux.Handle("POST /devidp/revoke-user", ownOriginOnly(s.endUserSessions))
	return loopback.Only(strings.TrimPrefix(s.base, "http://"), mux)
}

// form admits a bounded urlencoded body in which no parameter is repeated (RFC 6749, section 3.2), and leaves it
// in r.PostForm. It stands before the faults, so that a call is counted by its grant even when it is then dropped.
func (s *Server) form(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			writeOAuthError(w, refuse("invalid_request", "the body is not a form"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil || repeats(r.PostForm) {
			writeOAuthError(w, refuse("invalid_request", "the form is too large, malformed or repeats a parameter"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func repeats(values url.Values) bool {
	for _, v := range values {
		if len(v) > 1 {
			return true
		}
	}
	return false
}
