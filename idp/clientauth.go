package idp

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// secretFloor is the pause between two fetches of the client secret: a secret that is simply wrong must not turn
// every refresh into a request to the secret store.
const secretFloor = 10 * time.Second

// credentials authenticate us at the token endpoint, always in the one configured way. x/oauth2 can find the
// way out by trying; that sends a code or refresh token twice.
type credentials struct {
	id, method string
	secret     func() []byte
	fetch      func(context.Context) error
	now        func() time.Time
	log        *slog.Logger

	flight  flight
	mu      sync.Mutex
	fetched time.Time
}

// fingerprint tells whether a secret has changed without keeping it.
type fingerprint [sha256.Size]byte

// request builds an authenticated form request and says with which secret.
func (c *credentials) request(ctx context.Context, endpoint string, form url.Values) (*http.Request, fingerprint, error) {
	form = maps.Clone(form)
	var secret []byte
	if c.method != authNone {
		if secret = c.secret(); len(secret) == 0 {
			return nil, fingerprint{}, errors.New("the client secret is empty")
		}
	}
	switch c.method {
	case authPost:
		form.Set("client_id", c.id)
		form.Set("client_secret", string(secret))
	case authNone:
		form.Set("client_id", c.id)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fingerprint{}, errors.New("the endpoint is not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.method == authBasic {
		// RFC 6749 section 2.3.1: both are form-encoded first.
		req.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(string(secret)))
	}
	return req, sha256.Sum256(secret), nil
}

// renewed is asked after the provider refused the secret that was used. It reports whether trying once more makes
// sense: the secret is another one by now, or has just been fetched afresh.
func (c *credentials) renewed(ctx context.Context, used fingerprint) bool {
	if c.method == authNone {
		return false
	}
	if sha256.Sum256(c.secret()) != used {
		return true
	}
	if c.fetch == nil || !c.open() {
		return false
	}
	_, err := c.flight.do(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return c.fetch(ctx)
	})
	if err != nil {
		c.log.Error("the provider refuses the client secret and it could not be fetched afresh")
	}
	return err == nil
}

// open reports whether the secret may be fetched: one is under way to be joined, or the floor has passed.
func (c *credentials) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.flight.busy() {
		return true
	}
	if !c.fetched.IsZero() && now.Sub(c.fetched) < secretFloor {
		return false
	}
	c.fetched = now
	return true
}

// rejectsSecret recognises a refusal of the client itself; some providers send 401 without a word.
func rejectsSecret(e *Error) bool {
	return e.Kind == ErrMisconfigured && (e.Code == codeInvalidClient || e.Status == http.StatusUnauthorized && e.Code == "")
}
