package machine

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Client is a caller inside the trust boundary: it asks with a key of its own, and the provider is asked with credentials that it
// never sees.
type Client struct {
	ID     string
	Secret func() []byte     // current at each call, at least MinSecret bytes
	Scopes []string          // what it may ask for, and gets when it asks for nothing; none: the provider decides
	Params map[string]string // sent with each of its requests, such as resource or audience; it can send no others itself
	// Refresh reads Secret afresh after a caller brought another one; nil: it cannot. It is called for every wrong guess, so it has to
	// bound how often it reads.
	Refresh func(context.Context) error
	// Upstream is what the provider is asked with; its zero value means Config.Provider.
	Upstream Credentials
}

// MinSecret is the least length of a named client's secret, in bytes: it is the only thing between its holder and a token.
const MinSecret = 16

// Credentials are a client registered at the provider.
type Credentials struct {
	ID      string
	Secret  func() []byte               // current at each call
	Refresh func(context.Context) error // reads the secret afresh after the provider refused it; nil: it cannot
	Post    bool                        // client_secret_post in the place of client_secret_basic
}

// named is a Client made ready.
type named struct {
	Client
	at     int // place in the list, from 1
	scopes []string
}

func nameClients(list []Client, provider Credentials) (map[string]*named, error) {
	out := map[string]*named{}
	for i, c := range list {
		if c.Upstream.ID == "" {
			c.Upstream = provider
		}
		switch {
		case c.ID == "" || c.Secret == nil:
			return nil, fmt.Errorf("machine: client %d lacks ID or Secret", i+1)
		case out[c.ID] != nil:
			return nil, fmt.Errorf("machine: client %d has the ID of another", i+1)
		case len(c.Secret()) < MinSecret:
			return nil, fmt.Errorf("machine: the secret of client %d is shorter than %d bytes", i+1, MinSecret)
		case slices.ContainsFunc(reserved(), func(name string) bool { return c.Params[name] != "" }):
			return nil, fmt.Errorf("machine: client %d has Params that carry the protocol", i+1)
		case c.Upstream.ID == "" || c.Upstream.Secret == nil:
			return nil, fmt.Errorf("machine: client %d has no credentials to ask the provider with", i+1)
		}
		out[c.ID] = &named{Client: c, at: i + 1, scopes: scopeSet(strings.Join(c.Scopes, " "))}
	}
	return out, nil
}

// reserved are the parameters that nobody but this package sets.
func reserved() []string {
	return []string{"grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type"}
}

// ErrParameter means that a named client sent a parameter that is not among its own, or a form in which they cannot be told for sure. It
// is an ErrRequest too.
var ErrParameter = fmt.Errorf("%w: a named client sends a parameter that is not its own", ErrRequest)

// admit lets a named client in, or refuses it. For everybody else it does nothing: the provider judges them.
func (c *Cache) admit(ctx context.Context, a *ask) error {
	var n *named
	for _, id := range a.claimed() {
		if n == nil {
			n = c.named[id]
		}
	}
	if n == nil {
		return nil
	}
	if !n.proves(a.credential) && !n.provesAfresh(ctx, a.credential) {
		return &Denied{ErrClient, n.ID}
	}
	if a.unread {
		return &Denied{ErrParameter, n.ID}
	}
	if a.grant != grantMachine || a.pass {
		return &Denied{ErrGrant, n.ID}
	}
	if len(a.scopes) == 0 {
		a.scopes = n.scopes
	}
	for _, scope := range a.scopes {
		if len(n.scopes) > 0 && !slices.Contains(n.scopes, scope) {
			return &Denied{ErrScope, n.ID}
		}
	}
	for name, values := range a.params {
		if len(values) != 1 || n.Params[name] != values[0] {
			return &Denied{ErrParameter, n.ID}
		}
	}
	a.params = url.Values{}
	for name, value := range n.Params {
		a.params.Set(name, value)
	}
	a.named = n
	a.credential = credential{'n', n.ID, string(n.Secret())}
	return nil
}

// claimed are the names that a request goes by in any reading of it, also one without a secret: what the provider reads more leniently
// than we do must bring it neither a name nor a key of ours.
func (a *ask) claimed() []string {
	user := looseUser(a.request.Authorization)
	names := append([]string{a.credential.id, user, unescaped(user)}, a.params["client_id"]...)
	return append(names, a.subjects()...)
}

// proves compares in constant time, as it came and with the form encoding undone.
func (n *named) proves(c credential) bool {
	if !c.names(n.ID) {
		return false
	}
	want := sha256.Sum256(n.Secret())
	raw, plain := sha256.Sum256([]byte(c.secret)), sha256.Sum256([]byte(unescaped(c.secret)))
	same := subtle.ConstantTimeCompare(want[:], raw[:])
	if c.kind == 'b' {
		same |= subtle.ConstantTimeCompare(want[:], plain[:])
	}
	return same == 1
}

// provesAfresh looks for a new key where the key is kept: a client that was given one must not wait until we look by ourselves, and the
// old one ends with the first use of the new.
func (n *named) provesAfresh(ctx context.Context, c credential) bool {
	return n.Refresh != nil && c.names(n.ID) && n.Refresh(ctx) == nil && n.proves(c)
}

// names says whether a credential is for this id.
func (c credential) names(id string) bool {
	return c.kind != 0 && (c.id == id || c.kind == 'b' && unescaped(c.id) == id)
}

// rejected says whether trying once more makes sense after the provider refused our own credentials.
func (n *named) rejected(ctx context.Context, used []byte) bool {
	if string(n.Upstream.Secret()) != string(used) {
		return true
	}
	if n.Upstream.Refresh == nil {
		return false
	}
	return n.Upstream.Refresh(ctx) == nil && string(n.Upstream.Secret()) != string(used)
}

// errOurs is what a named client's caller must not be blamed for.
var errOurs = errors.New("the provider refuses the credentials that we ask with")
