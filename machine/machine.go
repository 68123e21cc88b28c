// Package machine is the machine-to-machine token cache: what stands behind POST /oauth2/token. It owns the client_credentials grant of
// services, from the form they send to the answer they get, and asks the provider as seldom as can be. It refuses to show a token to
// anybody who does not bring the credential it was issued to, to keep an error, and to know HTTP servers: a request is three texts.
//
//	Request → memory (sealed under the request itself) → parse → named client? → kv (sealed under server key and credential)
//	        → lease → lane, rate, breaker → provider → memory and kv → Answer with the expires_in that is really left
//
// Read this file for the values, cache.go for the front door, flight.go and coordinate.go for "once", keys.go for what seals what.
package machine

import (
	"errors"
	"fmt"
	"time"
)

// MaxForm bounds a request body and a provider's answer, in bytes.
const MaxForm = 64 << 10

// Request is one call of the token endpoint, as it came (RFC 6749, sections 2.3.1 and 4.4.2).
type Request struct {
	Authorization string // the header; "" when there is none
	Query         string // the raw query of the URL
	Body          []byte // the form, at most MaxForm; it is not kept
	DPoP          string // the header of RFC 9449; such a call is passed on and never cached, its token is bound to a key
	Fresh         bool   // no token that is over a minute old, unless the provider fails: the caller has seen one refused
}

// freshFor is how old a token may be for who asks for a fresh one: a client that always does costs one request in that time.
const freshFor = time.Minute

// since is when the tokens that do for a request were asked for at the earliest; zero: at any time.
func (r *Request) since(now time.Time) (at time.Time) {
	if r.Fresh {
		at = now.Add(-freshFor)
	}
	return at
}

// Answer is what the caller gets: a token, or what the provider said, byte for byte.
type Answer struct {
	Status          int
	ContentType     string
	RetryAfter      string   // the provider's header, "" when there is none; the same for DPoPNonce
	WWWAuthenticate []string // every line that the provider sent: each may be another challenge; not to be changed
	DPoPNonce       string
	Body            []byte

	How    How
	Origin int           // status of the provider's answer to this request; 0 if it was asked for another or not at all
	TTL    time.Duration // life that is left of the token; 0: no token of ours
	Age    time.Duration // since the provider was asked for it

	Collapsed bool // the provider was asked, for somebody else's request that this one waited for: RFC 9211, section 2.6
	Stored    bool // the provider was asked for this request, and its answer is kept: RFC 9211, section 2.5
	Forced    bool // there was a token, and the request would not have it: RFC 9211, section 2.2

	Client string // the named client that was served; "" for everybody else
	Scope  string // what a named client got, for the audit

	issued bool          // a token of the provider's that could not be kept is in it
	saved  time.Duration // what the provider took when it was asked for this token, less what the caller waited for somebody else's
	asked  time.Time     // for the token
}

// How says what the cache did for one request; a metric label and, in other words, the Cache-Status header (RFC 9211).
type How string

// What the cache can do.
const (
	HowHit       How = "hit"       // from memory
	HowShared    How = "shared"    // from the store: another replica had asked
	HowMiss      How = "miss"      // the provider was asked for this request
	HowCollapsed How = "collapsed" // the provider, or another replica, was being asked already
	HowStale     How = "stale"     // near its end, because the provider fails
	HowError     How = "error"     // the provider's refusal, passed on
	HowNegative  How = "negative"  // the provider's refusal of this very credential, of a moment ago
	HowPass      How = "pass"      // another grant, or one that must not be cached: passed on untouched

	// What follows is answered in our own words, and said by Refused.
	HowInvalid     How = "invalid"     // the request is malformed
	HowDenied      How = "denied"      // a named client brought a wrong secret, or asked for what it may not have
	HowBusy        How = "busy"        // the share of requests to the provider is used up, or the provider throttles
	HowUnavailable How = "unavailable" // the provider does not answer
)

var (
	// ErrRequest means that the form is none, or breaks RFC 6749: a repeated parameter, two ways of authentication.
	ErrRequest = errors.New("machine: the token request is malformed")
	// ErrClient means that a named client brought another secret than its own.
	ErrClient = errors.New("machine: a named client brought the wrong secret")
	// ErrGrant means that a named client asked for something else than client_credentials.
	ErrGrant = errors.New("machine: the grant is not open to named clients")
	// ErrScope means that a named client asked for a scope that it may not have.
	ErrScope = errors.New("machine: the scope is not open to this client")
	// ErrBusy means that the caller's share of requests to the provider is used up for now, or that the provider throttles this caller.
	ErrBusy = errors.New("machine: too many requests to the provider")
	// ErrUnavailable means that the provider does not answer and no living token is held.
	ErrUnavailable = errors.New("machine: the provider does not answer")
)

// Failure is a request that came to nothing for now; errors.Is finds its Kind.
type Failure struct {
	Kind       error         // ErrBusy or ErrUnavailable
	RetryAfter time.Duration // when to ask again; 0: nobody said
	Cause      error         // holds no secret; may be nil
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Cause == nil {
		return f.Kind.Error()
	}
	return fmt.Sprintf("%v: %v", f.Kind, f.Cause)
}

// Unwrap gives the kind and the cause.
func (f *Failure) Unwrap() []error {
	if f.Cause == nil {
		return []error{f.Kind}
	}
	return []error{f.Kind, f.Cause}
}

// Event is one thing that happened, for metrics.
type Event struct {
	Kind EventKind
	// Outcome is a How for EventAnswer; ok, refused, throttled, unavailable or odd for EventUpstream; what is refused for EventLimited.
	Outcome string
	Took    time.Duration // of EventUpstream
	Saved   time.Duration // of EventAnswer: what the provider took for this token when it was asked, less what the caller waited
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds.
const (
	EventAnswer   EventKind = "answer"   // a request was answered
	EventUpstream EventKind = "upstream" // one request to the provider ended
	EventLimited  EventKind = "limited"  // a request to the provider was not made: rate, slots, pause, breaker
	EventDegraded EventKind = "degraded" // the store does not answer: coordinated in this process alone
)
