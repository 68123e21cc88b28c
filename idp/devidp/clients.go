package devidp

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// maxURIs bounds each list of registered URIs.
const maxURIs = 100

// client is an application that may ask for tokens. An empty secret makes it public.
type client struct {
	id, secret string
}

// clients are the two registered applications and what both may redirect to.
type clients struct {
	confidential, public client
	redirects, logouts   *uriList
	ends                 logoutURIs
}

func newClients(cfg Config) (*clients, error) {
	c := &clients{
		confidential: client{cfg.ClientID, cfg.ClientSecret},
		public:       client{id: publicIDFor(cfg.ClientID)},
		redirects:    &uriList{}, logouts: &uriList{},
	}
	if err := c.redirects.add(cfg.RedirectURIs); err != nil {
		return nil, err
	}
	if err := c.logouts.add(cfg.LogoutURIs); err != nil {
		return nil, err
	}
	return c, nil
}

// publicIDFor derives the second client's id, so that a fixed ClientID fixes both.
func publicIDFor(clientID string) string {
	sum := sha256.Sum256([]byte("public client beside " + clientID))
	return fmt.Sprintf("%x", sum)[:26]
}

func (c *clients) find(id string) (client, bool) {
	switch id {
	case c.confidential.id:
		return c.confidential, true
	case c.public.id:
		return c.public, true
	}
	return client{}, false
}

// authenticate finds who sends a form: client_secret_basic, client_secret_post, or a public client's bare
// client_id. One method at a time (RFC 6749, section 2.3); a client_id beside Basic is Cognito's own habit.
func (c *clients) authenticate(r *http.Request) (client, *oauthError) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if basicID, basicSecret, ok := basicCredentials(r); ok {
		if secret != "" || (id != "" && id != basicID) {
			return client{}, refuse("invalid_request", "two ways of client authentication at once")
		}
		id, secret = basicID, basicSecret
	} else if r.Header.Get("Authorization") != "" {
		return client{}, refuse("invalid_client", "the Authorization header is not Basic")
	}
	cl, ok := c.find(id)
	if !ok || subtle.ConstantTimeCompare([]byte(cl.secret), []byte(secret)) != 1 {
		return client{}, refuse("invalid_client", "unknown client or wrong secret")
	}
	return cl, nil
}

// basicCredentials undoes the form encoding that RFC 6749, section 2.3.1, puts under Basic.
func basicCredentials(r *http.Request) (id, secret string, ok bool) {
	id, secret, ok = r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	return id, secret, errID == nil && errSecret == nil
}

// uriList is a growing set of URIs compared character for character.
type uriList struct {
	mu   sync.RWMutex
	list []string
}

func (l *uriList) add(uris []string) error {
	for _, raw := range uris {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme == "" || u.Opaque != "" || strings.Contains(raw, "#") {
			return fmt.Errorf("%w: URI %q is not absolute or has a fragment", ErrConfig, raw)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, raw := range uris {
		if slices.Contains(l.list, raw) {
			continue
		}
		if len(l.list) >= maxURIs {
			return fmt.Errorf("%w: more than %d URIs", ErrConfig, maxURIs)
		}
		l.list = append(l.list, raw)
	}
	return nil
}

func (l *uriList) has(uri string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return uri != "" && slices.Contains(l.list, uri)
}
