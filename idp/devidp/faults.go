package devidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// ErrFaults is wrapped by every refusal of [Faults]: a misspelt fault would make a test pass for no reason.
var ErrFaults = errors.New("devidp: the faults cannot be used")

// Limits of a fault.
const (
	maxLatency = time.Minute
	maxRawBody = 64 << 10
	hugeBody   = 5 << 20
)

// Body is a kind of spoiled answer.
type Body string

// The kinds of spoiled answers. [BodyHuge] is well-formed JSON of 5 MB.
const (
	BodyMalformed Body = "malformed-json"
	BodyHTML      Body = "html"
	BodyEmpty     Body = "empty"
	BodyHuge      Body = "huge"
)

// Fault is how one endpoint misbehaves. Latency goes with anything; of the others at most one kind of answer may
// be set: DropBefore, DropAfter, Throttle400, OAuthError, or Status with Body or RawBody.
type Fault struct {
	// Latency passes before anything else happens, at most 1 min. A client that gives up meanwhile was not served.
	Latency time.Duration `json:"-"`
	// Status answers with that status, 200 to 599, without processing. Default 200 where Body or RawBody is set.
	Status int `json:"status,omitempty"`
	// RetryAfter is sent as the header of that name beside Status, Throttle400 or OAuthError.
	RetryAfter string `json:"retryAfter,omitempty"`
	// Body answers with a kind of rubbish.
	Body Body `json:"body,omitempty"`
	// RawBody answers with this text as JSON, at most 64 kB.
	RawBody string `json:"rawBody,omitempty"`
	// DropBefore closes the connection before the call is processed; DropAfter afterwards, so that only the answer
	// is lost. Go's HTTP client repeats a GET whose reused connection was closed.
	DropBefore bool `json:"dropBefore,omitempty"`
	DropAfter  bool `json:"dropAfter,omitempty"`
	// Throttle400 answers as Cognito throttles: 400 {"__type":"TooManyRequestsException","message":"Rate exceeded"}.
	Throttle400 bool `json:"throttle400,omitempty"`
	// OAuthError answers 400 with that error code.
	OAuthError string `json:"oauthError,omitempty"`
	// Times is how many calls are hit; 0 is all until the faults are set anew.
	Times int `json:"times,omitempty"`
}

// Faults is how the provider misbehaves, endpoint by endpoint. The zero value is good behaviour.
type Faults struct {
	Token     Fault `json:"token,omitzero"`
	JWKS      Fault `json:"jwks,omitzero"`
	Discovery Fault `json:"discovery,omitzero"`
	Revoke    Fault `json:"revoke,omitzero"`
	// AuthorizeError sends every authorization request back with that OAuth error, "access_denied" for example.
	AuthorizeError string `json:"authorizeError,omitempty"`
	// Lies are told in tokens and in the redirect to the client.
	Lies Lies `json:"lies,omitzero"`
}

// SetFaults replaces all faults and lies; SetFaults(Faults{}) ends them. Error: [ErrFaults], and nothing changes.
func (s *Server) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return err
	}
	s.faults.set(f)
	s.cfg.Logger.Info("faults of the development provider set", "any", f != Faults{})
	return nil
}

// Faults is what is still in force, with the calls that are left in Times.
func (s *Server) Faults() Faults { return s.faults.get() }

type endpoint int

const (
	atToken endpoint = iota
	atJWKS
	atDiscovery
	atRevoke
)

// faultBox guards the faults and counts them down.
type faultBox struct {
	mu sync.Mutex
	f  Faults
}

func (b *faultBox) set(f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.f = f
}

func (b *faultBox) get() Faults {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.f
}

// take gives the fault that hits this call, and counts it.
func (b *faultBox) take(e endpoint) (Fault, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot := b.f.at(e)
	hit := *slot
	switch hit.Times {
	case 0:
	case 1:
		*slot = Fault{}
	default:
		slot.Times--
	}
	return hit, hit != Fault{}
}

func (f *Faults) at(e endpoint) *Fault {
	switch e {
	case atToken:
		return &f.Token
	case atJWKS:
		return &f.JWKS
	case atDiscovery:
		return &f.Discovery
	default:
		return &f.Revoke
	}
}

func (f Faults) check() error {
	for e, name := range map[endpoint]string{atToken: "token", atJWKS: "jwks", atDiscovery: "discovery", atRevoke: "revoke"} {
		if err := f.at(e).check(); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrFaults, name, err)
		}
	}
	if !plainWord(f.AuthorizeError) {
		return fmt.Errorf("%w: authorizeError is not an error code", ErrFaults)
	}
	if err := f.Lies.check(); err != nil {
		return fmt.Errorf("%w: lies: %w", ErrFaults, err)
	}
	return nil
}

func (f Fault) check() error {
	answers := 0
	for _, set := range []bool{f.DropBefore, f.DropAfter, f.Throttle400, f.OAuthError != "", f.spoilsBody()} {
		if set {
			answers++
		}
	}
	switch {
	case answers > 1:
		return errors.New("more than one kind of answer")
	case f.Body != "" && f.RawBody != "":
		return errors.New("body and rawBody")
	case f.Latency < 0 || f.Latency > maxLatency:
		return fmt.Errorf("latency is not between 0 and %s", maxLatency)
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	case f.Times < 0 || (f.Times > 0 && answers == 0 && f.Latency == 0):
		return errors.New("times is negative or counts no fault")
	case len(f.RawBody) > maxRawBody:
		return fmt.Errorf("rawBody is longer than %d bytes", maxRawBody)
	case !plainWord(f.OAuthError):
		return errors.New("oauthError is not an error code")
	case strings.ContainsAny(f.RetryAfter, "\r\n") || len(f.RetryAfter) > 64:
		return errors.New("retryAfter is not a header value")
	case f.RetryAfter != "" && !f.answers():
		return errors.New("retryAfter goes with an answer")
	}
	return f.Body.check()
}

func (b Body) check() error {
	switch b {
	case "", BodyMalformed, BodyHTML, BodyEmpty, BodyHuge:
		return nil
	}
	return fmt.Errorf("body %q is none of %s, %s, %s, %s", b, BodyMalformed, BodyHTML, BodyEmpty, BodyHuge)
}

func (f Fault) spoilsBody() bool { return f.Status != 0 || f.Body != "" || f.RawBody != "" }

// answers reports whether the fault answers in place of the endpoint.
func (f Fault) answers() bool { return f.Throttle400 || f.OAuthError != "" || f.spoilsBody() }

// plainWord admits what may stand in an OAuth error code (RFC 6749, section 5.2), or nothing.
func plainWord(v string) bool {
	return len(v) <= 64 && strings.IndexFunc(v, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	}) < 0
}

// wireFault writes the latency as people do: "1.5s".
type wireFault struct {
	Latency string `json:"latency,omitempty"`
	faultFields
}

type faultFields Fault

// MarshalJSON writes Latency as a duration text.
func (f Fault) MarshalJSON() ([]byte, error) {
	w := wireFault{faultFields: faultFields(f)}
	if f.Latency != 0 {
		w.Latency = f.Latency.String()
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes and refuses unknown fields.
func (f *Fault) UnmarshalJSON(b []byte) error {
	var w wireFault
	if err := decodeStrictly(strings.NewReader(string(b)), &w); err != nil {
		return err
	}
	*f = Fault(w.faultFields)
	if w.Latency == "" {
		return nil
	}
	d, err := time.ParseDuration(w.Latency)
	if err != nil {
		return fmt.Errorf("latency: %w", err)
	}
	f.Latency = d
	return nil
}
