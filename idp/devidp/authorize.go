package devidp

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// challengeShape is an S256 challenge: a SHA-256 in base64url (RFC 7636, section 4.2).
var challengeShape = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// authRequest is an authorization request whose client and redirect URI are registered.
type authRequest struct {
	clientID, redirectURI string
	query                 url.Values // as it came
	scope                 string     // what is granted, checked
}

// authorize answers from the browser's session, or sends it to the form.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	s.stats.add(func(t *Stats) { t.Authorize++ })
	req, ok := s.admit(w, r)
	if !ok {
		return
	}
	prompt := req.query.Get("prompt")
	b, signedIn := s.browserOf(r)
	switch {
	case signedIn && (prompt == "" || prompt == "none"):
		s.sendCode(w, r, req, b)
	case prompt == "none":
		s.sendBack(w, r, req, url.Values{"error": {"login_required"}})
	default:
		http.Redirect(w, r, "/login?"+r.URL.RawQuery, http.StatusFound)
	}
}

// admit judges an authorization request wherever it comes in: /authorize, /login and /signup take the same
// parameters. It answers the bad ones: on a page of our own while the redirect URI cannot be believed, at the
// client afterwards (RFC 6749, section 4.1.2.1).
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (authRequest, bool) {
	req, problem := s.locate(r.URL.RawQuery)
	if problem != "" {
		http.Redirect(w, r, "/error?"+url.Values{"error": {problem}}.Encode(), http.StatusFound)
		return authRequest{}, false
	}
	if problem = s.judge(&req); problem == "" {
		problem = s.faults.get().AuthorizeError
	}
	if problem != "" {
		s.sendBack(w, r, req, url.Values{"error": {problem}})
		return authRequest{}, false
	}
	return req, true
}

func (s *Server) locate(rawQuery string) (req authRequest, problem string) {
	q, err := url.ParseQuery(rawQuery)
	if err != nil || len(q["client_id"]) > 1 || len(q["redirect_uri"]) > 1 {
		return authRequest{}, "invalid_request"
	}
	req = authRequest{clientID: q.Get("client_id"), redirectURI: q.Get("redirect_uri"), query: q}
	if _, ok := s.clients.find(req.clientID); !ok {
		return authRequest{}, "invalid_client"
	}
	if !s.clients.redirects.has(req.redirectURI) {
		return authRequest{}, "redirect_mismatch"
	}
	return req, ""
}

// judge checks the rest and settles the scope.
func (s *Server) judge(req *authRequest) (problem string) {
	q := req.query
	switch {
	case repeats(q):
		return "invalid_request"
	case q.Get("response_type") == "token":
		return "unauthorized_client"
	case q.Get("response_type") != "code",
		!s.goodChallenge(q),
		isJSON(q.Get("state")),
		q.Has("identity_provider") && q.Has("idp_identifier"),
		!slices.Contains([]string{"", "none", "login", "consent", "select_account"}, q.Get("prompt")):
		return "invalid_request"
	case q.Get("resource") != "" && !isResource(q.Get("resource")):
		return "invalid_target"
	}
	req.scope, problem = s.grantable(q.Get("scope"))
	return problem
}

// goodChallenge holds clients to PKCE with S256, the only method Cognito has.
func (s *Server) goodChallenge(q url.Values) bool {
	if !q.Has("code_challenge") && !q.Has("code_challenge_method") {
		return s.cfg.PKCEOptional
	}
	return q.Get("code_challenge_method") == "S256" && challengeShape.MatchString(q.Get("code_challenge"))
}

// isJSON finds states that Cognito does not take.
func isJSON(state string) bool {
	return strings.HasPrefix(state, "{") && json.Valid([]byte(state))
}

// grantable is the scope of the tokens: what was asked, or all there is when nothing was. There is no
// offline_access: a code always yields a refresh token.
func (s *Server) grantable(asked string) (scope, problem string) {
	known := append([]string{"aws.cognito.signin.user.admin", "email", "openid", "phone", "profile"}, s.cfg.MachineScopes...)
	var granted []string
	for _, one := range strings.Fields(asked) {
		if !slices.Contains(known, one) {
			return "", "invalid_scope"
		}
		if !slices.Contains(granted, one) {
			granted = append(granted, one)
		}
	}
	if len(granted) == 0 {
		granted = known[:5]
	}
	return strings.Join(granted, " "), ""
}

// sendCode ends a good authorization.
func (s *Server) sendCode(w http.ResponseWriter, r *http.Request, req authRequest, b browser) {
	value := s.grants.issueCode(grant{
		clientID: req.clientID, sub: b.sub, sid: b.sid, scope: req.scope, resource: req.query.Get("resource"),
		nonce: req.query.Get("nonce"), authTime: b.authTime,
	}, req.redirectURI, req.query.Get("code_challenge"))
	s.sendBack(w, r, req, url.Values{"code": {value}})
}

// sendBack redirects to the client with the state, and with iss where it was promised, on errors too (RFC 9207,
// section 2). After a POST it is 303, so that no browser repeats the password at the client (RFC 9700, 4.12).
func (s *Server) sendBack(w http.ResponseWriter, r *http.Request, req authRequest, params url.Values) {
	lies := s.faults.get().Lies
	if states := req.query["state"]; len(states) == 1 {
		params.Set("state", states[0])
	}
	if lies.WrongState {
		params.Set("state", "somebody-elses-state")
	}
	if s.cfg.SendIss && !lies.NoIss {
		params.Set("iss", s.Issuer())
	}
	if lies.WrongIss {
		params.Set("iss", "https://somebody-else.example")
	}
	target := req.redirectURI + "?"
	if strings.Contains(req.redirectURI, "?") {
		target = req.redirectURI + "&"
	}
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target+params.Encode(), status)
}
