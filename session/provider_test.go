package session_test

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"vestibule/session"
)

// provider is the edge of the process: an OAuth provider that rotates refresh tokens and, when a spent one comes back,
// voids the whole family (RFC 9700, section 4.14.2). A refresh that is done twice does not go unnoticed here.
type provider struct {
	life    time.Duration // of access tokens
	reusing bool          // no rotation: the same refresh token for ever, as is Cognito's default
	delay   time.Duration // of every refresh; a caller that hangs up sooner gets its context's error
	before  func(call int) error
	after   func(call int) error // the answer is lost: the tokens were spent

	doubt   bool         // tokens come, but their ID token cannot be verified yet
	confirm func() error // nil: they are good

	mu       sync.Mutex
	confirms int
	families map[string]*family // refresh token → the sign-in it belongs to
	granted  int
	calls    int
	revoked  []string
}

type family struct {
	current string
	void    bool
}

func newProvider() *provider {
	return &provider{life: time.Hour, families: map[string]*family{}}
}

func (p *provider) Refresh(ctx context.Context, old session.Tokens) (session.Tokens, error) {
	p.mu.Lock()
	p.calls++
	call := p.calls
	p.mu.Unlock()
	if p.delay > 0 {
		select {
		case <-time.After(p.delay):
		case <-ctx.Done():
			return session.Tokens{}, &session.Unavailable{Lost: true, Cause: ctx.Err()}
		}
	}
	if p.before != nil {
		if err := p.before(call); err != nil {
			return session.Tokens{}, err
		}
	}
	t, err := p.spend(old.RefreshToken)
	if err == nil && p.after != nil {
		if err := p.after(call); err != nil {
			return session.Tokens{}, err
		}
	}
	if err == nil && p.doubt {
		return t, &session.Unavailable{Lost: true}
	}
	return t, err
}

func (p *provider) Confirm(_ context.Context, _, unverified session.Tokens) (session.Tokens, error) {
	p.mu.Lock()
	p.confirms++
	p.mu.Unlock()
	if p.confirm != nil {
		if err := p.confirm(); err != nil {
			return session.Tokens{}, err
		}
	}
	return unverified, nil
}

func (p *provider) spend(token string) (session.Tokens, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.families[token]
	if f == nil || f.void {
		return session.Tokens{}, session.ErrRefused
	}
	if f.current != token {
		f.void = true
		return session.Tokens{}, session.ErrRefused
	}
	return p.issue(f), nil
}

// issue makes the next tokens of a family. The caller holds mu.
func (p *provider) issue(f *family) session.Tokens {
	p.granted++
	now := time.Now()
	t := session.Tokens{
		AccessToken: numbered("access", p.granted), Issued: now, Expires: now.Add(p.life),
		Scope: "openid", Subject: "ada", ProviderID: "origin",
	}
	if f.current == "" || !p.reusing {
		f.current = numbered("refresh", p.granted)
		p.families[f.current] = f
		t.RefreshToken = f.current
	}
	return t
}

// grant is a sign-in: new tokens of a new family.
func (p *provider) grant() session.Tokens {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.issue(&family{})
	t.Claims = json.RawMessage(`{"sub":"ada","name":"Ada"}`)
	return t
}

func (p *provider) Revoke(ctx context.Context, token string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = append(p.revoked, token)
	return nil
}

func (p *provider) refreshes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func (p *provider) revocations() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.revoked...)
}
