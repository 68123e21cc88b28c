package idp

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a failure means for the caller. Every error of this package that comes from talking to the provider is
// an *Error whose Kind is one of these.
var (
	// ErrRefused is the provider's definite no: the code or refresh token is spent, revoked, expired or its
	// user is gone. The session is over.
	ErrRefused = errors.New("the provider refused the grant")
	// ErrThrottled means the provider asks us to slow down. Nothing was processed.
	ErrThrottled = errors.New("the provider is throttling")
	// ErrUnavailable is a network fault, a time-out or a server error. The session is not affected.
	ErrUnavailable = errors.New("the provider is unavailable")
	// ErrMalformed is an answer of success that is no answer: no token, too large, not JSON.
	ErrMalformed = errors.New("the provider sent a malformed answer")
	// ErrUntrusted means that an ID token or a callback is not the provider's, not for us, or not for this
	// sign-in.
	ErrUntrusted = errors.New("the provider's answer cannot be trusted")
	// ErrMisconfigured is our operator's fault: a wrong secret, client, scope, issuer or endpoint. The user has
	// done nothing wrong and the session stays.
	ErrMisconfigured = errors.New("the provider rejects our configuration")
)

// Narrower than a kind: an Error that is one of these still is of its kind, and says this instead of it.
var (
	// ErrIssuer is a discovery document of another issuer than the configured one (OpenID Connect Discovery 1.0 section
	// 4.3). It is an ErrMisconfigured.
	ErrIssuer = errors.New("the issuer is not the configured one")
	// ErrDocument is a fault in what the provider publishes, its discovery document or its key set. It is an
	// ErrMisconfigured, or an ErrMalformed where nothing could be read.
	ErrDocument = errors.New("the provider's document cannot be used")
)

// Error is a failed operation at the provider. Its text is safe to log and to show to an operator.
type Error struct {
	// Kind is one of the sentinels above.
	Kind error
	// Operation is one of the Operation constants.
	Operation string
	// Status is the HTTP status of the answer, 0 when there was none.
	Status int
	// Code is the OAuth error code or AWS exception name, "" when there was none and "other" when it does not
	// look like a code.
	Code string
	// RetryAfter is what the provider asked for, at most an hour; 0 when it did not say.
	RetryAfter time.Duration
	// Lost says that the request may have reached the provider and been processed: a refresh token that was
	// sent may be spent.
	Lost bool

	narrow error  // ErrIssuer or ErrDocument, where the Kind alone would mislead
	detail string // words of our own, or sanitised ones
	cause  error  // never a *url.Error: that one prints the URL
}

// Error names the operation, the kind or what is narrower than it, the status with its code, and a detail where there is one.
func (e *Error) Error() string {
	var b strings.Builder
	kind := e.Kind
	if e.narrow != nil {
		kind = e.narrow
	}
	fmt.Fprintf(&b, "%s: %v", e.Operation, kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (%s)", strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, e.Code)))
	}
	if e.detail != "" {
		b.WriteString(": " + e.detail)
	}
	return b.String()
}

// Unwrap gives the kind, what is narrower than it, and the cause where it is known and harmless.
func (e *Error) Unwrap() []error {
	all := []error{e.Kind}
	for _, more := range []error{e.narrow, e.cause} {
		if more != nil {
			all = append(all, more)
		}
	}
	return all
}

// outcome is the kind of an error as a metric label.
func outcome(err error) string {
	for _, row := range []struct {
		kind error
		name string
	}{
		{ErrRefused, "refused"}, {ErrThrottled, "throttled"}, {ErrUnavailable, "unavailable"},
		{ErrMalformed, "malformed"}, {ErrUntrusted, "untrusted"}, {ErrMisconfigured, "misconfigured"},
	} {
		if errors.Is(err, row.kind) {
			return row.name
		}
	}
	return "ok"
}

// printable cuts foreign words to what fits one log line: printable ASCII, at most 160 bytes.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, s)
	return s[:min(len(s), 160)]
}
