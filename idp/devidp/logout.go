package devidp

import (
	"net/http"
	"net/url"
)

// logout has Cognito's two forms and no other. It is not RP-initiated logout: post_logout_redirect_uri and
// id_token_hint are ignored, no state comes back, and refresh tokens live on.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	s.stats.add(func(t *Stats) { t.Logouts++ })
	w.Header().Set("Cache-Control", "no-store")
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || repeats(q) {
		http.Error(w, "Invalid request", http.StatusBadRequest)
		return
	}
	if q.Get("client_id") == "" {
		http.Error(w, "Missing required parameter client_id", http.StatusBadRequest)
		return
	}
	if _, ok := s.clients.find(q.Get("client_id")); !ok {
		http.Error(w, "Client does not exist.", http.StatusBadRequest)
		return
	}
	// From here on the person is signed out, whatever the answer: Cognito does so too.
	ended, ok := s.endBrowser(w, r)
	if ok {
		s.tellClient(r.Context(), ended.sub, ended.sid)
	}
	switch {
	case q.Get("logout_uri") != "":
		s.logoutTo(w, r, q.Get("logout_uri"), ended)
	case q.Get("redirect_uri") != "":
		s.logoutToLogin(w, r, q)
	default:
		http.Error(w, "Required String parameter 'redirect_uri' is not present", http.StatusBadRequest)
	}
}

func (s *Server) logoutTo(w http.ResponseWriter, r *http.Request, uri string, ended browser) {
	if !s.clients.logouts.has(uri) {
		http.Error(w, "Invalid logout_uri: it is not registered for the client", http.StatusBadRequest)
		return
	}
	if frame := s.frontchannel(ended); frame != "" {
		s.showFrame(w, r, frame, uri)
		return
	}
	http.Redirect(w, r, uri, http.StatusFound)
}

// logoutToLogin hands the parameters on to the form, which judges them as it always does.
func (s *Server) logoutToLogin(w http.ResponseWriter, r *http.Request, q url.Values) {
	if q.Get("response_type") == "" {
		http.Error(w, "Required String parameter 'response_type' is not present", http.StatusBadRequest)
		return
	}
	if !s.clients.redirects.has(q.Get("redirect_uri")) {
		http.Error(w, "Invalid redirect_uri: it is not registered for the client", http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, "/login?"+q.Encode(), http.StatusFound)
}
