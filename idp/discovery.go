package idp

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	// discoveryFloor keeps callers from asking for the document more often, whatever they need.
	discoveryFloor = 5 * time.Second
	// discoveryWait is how long a caller waits for a document that is due.
	discoveryWait = 3 * time.Second
)

// read fetches and resolves the document; nothing is kept. Without discovery it is what configuration says.
func (p *Provider) read(ctx context.Context) (*metadata, error) {
	d := document{Issuer: p.cfg.Issuer}
	if !p.cfg.Endpoints.complete() {
		body, err := p.get(ctx, OperationDiscovery, strings.TrimSuffix(p.cfg.Issuer, "/")+discoveryPath)
		if err != nil {
			return nil, err
		}
		if d, err = parseDocument(body); err != nil {
			return nil, &Error{Kind: ErrMalformed, Operation: OperationDiscovery, narrow: ErrDocument, detail: err.Error()}
		}
	}
	if d.Issuer != p.cfg.Issuer {
		// OpenID Connect Discovery 1.0 section 4.3: exactly the same, character by character.
		return nil, &Error{Kind: ErrMisconfigured, Operation: OperationDiscovery, narrow: ErrIssuer,
			detail: fmt.Sprintf("the provider calls itself %q but the issuer is configured as %q", printable(d.Issuer), p.cfg.Issuer)}
	}
	m, err := p.resolve(d)
	if err != nil {
		return nil, &Error{Kind: ErrMisconfigured, Operation: OperationDiscovery, narrow: ErrDocument, detail: err.Error()}
	}
	return m, nil
}

// hold makes the metadata the ones in use.
func (p *Provider) hold(m *metadata) {
	p.meta.Store(m)
	p.first.Do(func() { close(p.held) })
}

// schedule remembers when discovery was tried, so that callers neither hammer the provider nor give up a moment
// before the next try.
type schedule struct {
	flight flight
	mu     sync.Mutex
	last   time.Time // the last try began
	next   time.Time // Run tries again then; zero when Run does not run
	err    error     // how the last try ended
}

// discover fetches the document now, or joins the fetch under way.
func (p *Provider) discover(ctx context.Context) error {
	_, err := p.tries.flight.do(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		p.tries.began(p.cfg.Now())
		err := errPanicked // what is remembered if reading panics
		defer func() { p.tries.ended(err) }()
		m, err := p.read(ctx)
		if err == nil {
			p.hold(m)
		}
		return err
	})
	return err
}

func (s *schedule) began(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
}

func (s *schedule) ended(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *schedule) announce(next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = next
}

// metadata returns what is held. Where nothing is held yet it waits, at most three seconds, for a try that is
// under way or due; inside the floor it answers at once.
func (p *Provider) metadata(ctx context.Context, operation string) (*metadata, error) {
	if m := p.meta.Load(); m != nil {
		return m, nil
	}
	wait, cancel := context.WithTimeout(ctx, discoveryWait)
	defer cancel()
	err := p.await(wait)
	if m := p.meta.Load(); m != nil {
		return m, nil
	}
	return nil, &Error{Kind: ErrUnavailable, Operation: operation,
		detail: fmt.Sprintf("no metadata yet: %v", err), cause: ctx.Err()}
}

func (p *Provider) await(ctx context.Context) error {
	s, now := &p.tries, p.cfg.Now()
	busy := s.flight.busy()
	s.mu.Lock()
	last, next, err := s.last, s.next, s.err
	s.mu.Unlock()
	if busy || last.IsZero() || now.Sub(last) >= discoveryFloor {
		return p.discover(ctx)
	}
	if next.After(now) && next.Sub(now) < discoveryWait {
		select {
		case <-p.held:
		case <-ctx.Done():
		}
	}
	return err
}
