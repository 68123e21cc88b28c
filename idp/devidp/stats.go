package devidp

import (
	"net/http"
	"sync"
)

// Stats counts what arrived and what came of it. A call that a fault spoils is counted as asked, and as ok or
// refused only if it was processed (DropAfter) before the answer got lost.
type Stats struct {
	// Discovery and JWKS are requests for those documents.
	Discovery int64 `json:"discovery"`
	JWKS      int64 `json:"jwks"`
	// Authorize is authorization requests, good and bad.
	Authorize int64 `json:"authorize"`
	// SignIns is passwords accepted, SignInsRefused those that were not, SignUps new users.
	SignIns        int64 `json:"signIns"`
	SignInsRefused int64 `json:"signInsRefused"`
	SignUps        int64 `json:"signUps"`
	// Code, Refresh and ClientCredentials are token calls by grant; OtherGrants those of any other grant_type.
	Code              Calls `json:"code"`
	Refresh           Calls `json:"refresh"`
	ClientCredentials Calls `json:"clientCredentials"`
	OtherGrants       Calls `json:"otherGrants"`
	// Reuses is codes and refresh tokens that came back after their time.
	Reuses int64 `json:"reuses"`
	// Revoke is calls of the revocation endpoint, UserInfo those of userInfo.
	Revoke   Calls `json:"revoke"`
	UserInfo Calls `json:"userInfo"`
	// Logouts is calls of /logout.
	Logouts int64 `json:"logouts"`
	// Backchannel is logout tokens that were sent, and what the client answered: 200 is ok.
	Backchannel Calls `json:"backchannel"`
	// Faults is calls spoiled, delayed or dropped on purpose, Lies token answers that lied.
	Faults int64 `json:"faults"`
	Lies   int64 `json:"lies"`
}

// Calls counts one kind of call.
type Calls struct {
	// Asked is calls that arrived.
	Asked int64 `json:"asked"`
	// OK and Refused are calls that were processed.
	OK      int64 `json:"ok"`
	Refused int64 `json:"refused"`
}

// settle counts an outcome.
func (c *Calls) settle(refusal *oauthError) {
	if refusal == nil {
		c.OK++
		return
	}
	c.Refused++
}

// ofGrant finds the counter of a grant type.
func (t *Stats) ofGrant(grantType string) *Calls {
	switch grantType {
	case "authorization_code":
		return &t.Code
	case "refresh_token":
		return &t.Refresh
	case "client_credentials":
		return &t.ClientCredentials
	}
	return &t.OtherGrants
}

// counters guards a Stats.
type counters struct {
	mu sync.Mutex
	t  Stats
}

func (c *counters) add(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.t)
}

// arrived counts a call before anything else happens to it.
func (c *counters) arrived(e endpoint, r *http.Request) {
	c.add(func(t *Stats) {
		switch e {
		case atToken:
			t.ofGrant(r.PostForm.Get("grant_type")).Asked++
		case atRevoke:
			t.Revoke.Asked++
		case atJWKS:
			t.JWKS++
		case atDiscovery:
			t.Discovery++
		}
	})
}

// Stats is a copy of the counters at this moment.
func (s *Server) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	return s.stats.t
}

func (s *Server) showStats(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Stats())
}
