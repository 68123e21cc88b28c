// Package session is what a signed-in browser holds: the sealed cookie and its chunks, or a ticket for what the store keeps, pending
// sign-ins, the coordinated refresh, and the end of it all, on every replica. It owns the cookies' format and the rule that a refresh token
// is spent exactly once. It refuses to know HTTP requests (it reads Cookie header lines and returns cookies to set) and OAuth (a Provider
// is asked).
//
//	Begin → Take → Start → cookie → Load → Fresh (due? one flight per session → lease in kv → Provider.Refresh → result) → End
//
// Read session.go for the values, manager.go for the front door, codec.go and seal.go for what is in the cookie, fresh.go
// and coordinate.go for the refresh, marks.go, revoke.go and watch.go for its end, unnoted.go for idleness, ticket.go and stored.go for server mode.
package session

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vestibule/kv"
)

// ID names one session. It is random and is made anew at every sign-in, so a cookie planted before it is worth nothing after; that
// of an adopted session is derived from its refresh token.
type ID [16]byte

// String is the ID in base64url without padding, 22 characters.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Tokens is what the provider gave.
type Tokens struct {
	AccessToken  string
	Issued       time.Time       // when the access token was received
	Expires      time.Time       // when it stops being good; Expires-Issued is its whole life
	RefreshToken string          // "" when the provider gave none: then the session lasts as long as the access token
	IDToken      string          // raw; "" where nobody needs it: it costs about 1.2 kB of cookie
	Scope        string          // what the provider said was granted; "" when it did not say
	Subject      string          // the sub claim
	Nonce        string          // of the sign-in: a refreshed ID token may repeat it, and no other
	ProviderID   string          // the provider's name for its own session: sid, or Cognito's origin_jti
	Claims       json.RawMessage // chosen ID-token claims, one JSON object; nil: none, or on a refresh: unchanged
}

// Session is one browser's sign-in. It is never changed once made: a refresh makes a new value, so requests may share one.
type Session struct {
	ID         ID
	Started    time.Time // at the sign-in; the absolute lifetime counts from here
	Seen       time.Time // when the browser was last active, to within a tenth of the idle time-out
	Generation uint32    // refreshes so far: of two forms of one session the larger generation is the newer
	Tokens     Tokens

	life    time.Duration // Config.MaxAge as it was at the sign-in, in whole seconds; 0: sealed by a release that did not note it
	keys    []string      // of the records that can end it; see markKeysOf
	ahead   bool          // cookie mode: newer than the cookie that was brought; see proven
	overdue bool          // it would be over by idleness, could that be told; Seen is since when it counts as idle
	ticket  ticket        // server mode: what the browser holds
	version kv.Version    // server mode: of the entry that this form was read from, or written as
}

// Left is how long the access token is still good; never negative.
func (s *Session) Left(now time.Time) time.Duration { return max(0, s.Tokens.Expires.Sub(now)) }

// Life is the access token's whole life.
func (s *Session) Life() time.Duration { return max(0, s.Tokens.Expires.Sub(s.Tokens.Issued)) }

var (
	// ErrNone means that the browser brought no session.
	ErrNone = errors.New("session: none")
	// ErrUnreadable means that a cookie was brought which holds no session of ours: garbage, another key, another format,
	// a set of chunks that is not whole.
	ErrUnreadable = errors.New("session: the cookie cannot be read")
	// ErrEnded means that the session is definitely over: expired, signed out, refused by the provider.
	ErrEnded = errors.New("session: over")
	// ErrUnavailable is what every *Unavailable is.
	ErrUnavailable = errors.New("session: nobody can say whether it may go on")
	// ErrRefused is what a Provider answers when it definitely refused the refresh token.
	ErrRefused = errors.New("session: the provider refused the refresh token")
	// ErrUntrusted is what a Provider answers when a refreshed ID token fails verification or names another subject.
	ErrUntrusted = errors.New("session: the refreshed ID token cannot be trusted")
	// ErrTooLarge means that a session does not fit the chunks a browser and the servers between would carry.
	ErrTooLarge = errors.New("session: too large for cookies")
	// ErrPendingUnknown means that no pending sign-in of this browser has the state: never begun here, expired, or used up.
	ErrPendingUnknown = errors.New("session: no such pending sign-in")
	// ErrPendingUsed means that the state was used before.
	ErrPendingUsed = errors.New("session: the pending sign-in was used before")
)

// Unavailable means that nobody could say whether the session may go on: the provider is throttling, down or slow. The
// session stays.
type Unavailable struct {
	RetryAfter time.Duration // when to ask again; 0: the provider did not say
	Lost       bool          // the refresh may have reached the provider: it is not repeated within the same request
	Operator   bool          // the fault is in our configuration, and goes away by nobody's doing but the operator's
	Cause      error
}

// Is makes errors.Is(err, ErrUnavailable) hold.
func (u *Unavailable) Is(target error) bool { return target == ErrUnavailable }

// Error implements error.
func (u *Unavailable) Error() string {
	if u.Cause == nil {
		return ErrUnavailable.Error()
	}
	return fmt.Sprintf("%v: %v", ErrUnavailable, u.Cause)
}

// Unwrap gives the cause.
func (u *Unavailable) Unwrap() error { return u.Cause }

// Ended says why a session is over; errors.Is(err, ErrEnded) holds.
type Ended struct {
	Reason Reason
	// KeepCookies: the cookies now in the browser may be another session's, or a newer form of this one's, so an answer
	// must not clear them.
	KeepCookies bool
}

// Error implements error.
func (e *Ended) Error() string { return "session: over: " + string(e.Reason) }

// Is makes errors.Is(err, ErrEnded) hold.
func (e *Ended) Is(target error) bool { return target == ErrEnded }

// Reason is why a session ended; a metric label and a log word.
type Reason string

// The reasons.
const (
	ReasonExpired   Reason = "expired"    // absolute lifetime
	ReasonIdle      Reason = "idle"       // idle time-out
	ReasonSignedOut Reason = "signed_out" // the person ended it
	ReasonReplaced  Reason = "replaced"   // the browser signed in again
	ReasonRefused   Reason = "refused"    // the provider refused the refresh token
	ReasonUntrusted Reason = "untrusted"  // a refreshed ID token failed verification
	ReasonNoRefresh Reason = "no_refresh" // the access token ran out and there is no refresh token
	ReasonRevoked   Reason = "revoked"    // an operator ended it
	ReasonProvider  Reason = "provider_logout"
	ReasonElsewhere Reason = "ended_elsewhere" // the person ended it from another device
	// ReasonEverywhere: the person signed out on all devices.
	ReasonEverywhere Reason = "signed_out_everywhere"
	// ReasonGone: server mode, the store knows of no such session: it ran out, or the store has lost it.
	ReasonGone Reason = "gone"
)
