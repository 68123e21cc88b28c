package eventsdev

import (
	"encoding/json"
	"net/http"
)

// Reason names why something was refused, in [Stats.Refusals] and in the log. The client is told a sentence instead.
type Reason string

// What is wrong with a token. Each failing check has a reason of its own, so that a test can tell which one it met.
const (
	ReasonNoToken         Reason = "no_token"         // no authorization at all
	ReasonMalformed       Reason = "malformed_token"  // not a JWT, or one without exp, or far too long
	ReasonAlgorithm       Reason = "algorithm"        // not RS256
	ReasonUnknownKey      Reason = "unknown_key"      // no published key has its kid
	ReasonKeysUnavailable Reason = "keys_unavailable" // the issuer's keys were never had and cannot be
	ReasonSignature       Reason = "signature"        // the key did not sign it
	ReasonIssuer          Reason = "issuer"           // another issuer's
	ReasonExpired         Reason = "expired"          // its time is over
	ReasonNotYetValid     Reason = "not_yet_valid"    // its time has not come
	ReasonTokenUse        Reason = "token_use"        // neither an access nor an ID token
	ReasonClient          Reason = "client"           // another app client's
)

// What is wrong with a request.
const (
	ReasonHandshake     Reason = "handshake"         // the subprotocols, or the header in them, cannot be read
	ReasonHost          Reason = "host"              // the handshake names another host
	ReasonConnections   Reason = "connections"       // too many sockets are open
	ReasonNoInit        Reason = "no_init"           // connection_init did not come, or not first, or twice
	ReasonFrame         Reason = "frame"             // not JSON, or of an unknown type
	ReasonOperationID   Reason = "operation_id"      // missing, or not of the shape
	ReasonDuplicate     Reason = "duplicate"         // the id of a subscription that stands
	ReasonUnknown       Reason = "unknown_operation" // unsubscribes what does not stand
	ReasonChannel       Reason = "channel"           // not of the shape, or a wildcard out of place
	ReasonNamespace     Reason = "namespace"         // its first segment does not exist
	ReasonEvents        Reason = "events"            // not 1 to 5 strings of JSON
	ReasonTooLarge      Reason = "too_large"         // an event or a publish beyond its limit
	ReasonRate          Reason = "rate"              // too many publishes in a second
	ReasonSubscriptions Reason = "subscriptions"     // too many on one connection
)

// refusal is one thing that is refused: what we count, and what the client is told. It quotes nothing the client sent,
// so that no token gets into a log by way of an error.
type refusal struct {
	reason Reason
	kind   string // errorType
	text   string // message
	status int    // where it is told over HTTP
}

func unauthorized(reason Reason, text string) *refusal {
	return &refusal{reason, "UnauthorizedException", text, http.StatusUnauthorized}
}

func badRequest(reason Reason, text string) *refusal {
	return &refusal{reason, "BadRequestException", text, http.StatusBadRequest}
}

// errKeysUnavailable is no verdict on the token, so it must not look like one: Amplify gives up for good on an
// UnauthorizedException, and comes back after anything else.
func errKeysUnavailable() *refusal {
	return &refusal{ReasonKeysUnavailable, "InternalFailure", "The issuer's keys cannot be fetched.", http.StatusServiceUnavailable}
}

func errTooLarge(text string) *refusal {
	return &refusal{ReasonTooLarge, "BadRequestException", text, http.StatusRequestEntityTooLarge}
}

func errLimit(reason Reason, kind, text string) *refusal {
	return &refusal{reason, kind, text, http.StatusTooManyRequests}
}

// toldError is an error as clients read it.
type toldError struct {
	Type    string `json:"errorType"`
	Message string `json:"message"`
}

func (r *refusal) told() []toldError { return []toldError{{Type: r.kind, Message: r.text}} }

// refuse counts, logs and answers over HTTP.
func (s *Server) refuse(w http.ResponseWriter, why *refusal) {
	s.note(why)
	writeJSON(w, why.status, struct {
		Errors []toldError `json:"errors"`
	}{why.told()})
}

// note counts and logs.
func (s *Server) note(why *refusal) {
	s.stats.refused(why)
	s.cfg.Logger.Info("refused", "reason", string(why.reason))
}

func writeJSON[T any](w http.ResponseWriter, status int, body T) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away needs no answer
}
