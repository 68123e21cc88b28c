package eventsdev

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeySet    = 256 << 10 // bytes of a key set
	maxKeys      = 64
	keysLive     = 5 * time.Minute // how long a key set is taken for current
	keysFloor    = 3 * time.Second // between two fetches, however many unknown kids arrive
	keysPatience = 5 * time.Second // for one fetch
)

// keyset is the issuer's keys, fetched when first needed, when they are old, and when a kid is unknown. What was once
// fetched stays when a later fetch fails.
type keyset struct {
	url    string
	now    func() time.Time
	log    *slog.Logger
	client *http.Client
	life   context.Context // the server's: a fetch is nobody's alone to cancel
	end    context.CancelFunc
	turn   chan struct{} // held by whoever looks or fetches
	// What follows belongs to the holder of turn.
	keys    map[string]*rsa.PublicKey // kid → key; nil until the first fetch succeeds
	fetched time.Time                 // the last success
	asked   time.Time                 // the last attempt
}

func newKeyset(c Config) *keyset {
	life, end := context.WithCancel(context.Background())
	return &keyset{
		url: c.JWKSURL, now: c.Now, log: c.Logger, life: life, end: end, turn: make(chan struct{}, 1),
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConns: 1, IdleConnTimeout: 10 * time.Second},
			Timeout:       keysPatience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the key set has moved") },
		},
	}
}

func (k *keyset) close() {
	k.end()
	k.client.CloseIdleConnections()
}

// find gives the key with that id. One caller fetches; those who come meanwhile wait for it.
func (k *keyset) find(ctx context.Context, kid string) (*rsa.PublicKey, *refusal) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, errKeysUnavailable()
	}
	if key := k.keys[kid]; key == nil || k.now().Sub(k.fetched) >= keysLive {
		k.refetch()
	}
	switch key := k.keys[kid]; {
	case k.keys == nil:
		return nil, errKeysUnavailable()
	case key == nil:
		return nil, unauthorized(ReasonUnknownKey, "No published key signed the token.")
	default:
		return key, nil
	}
}

// refetch leaves the keys as they are where it fails or comes too soon.
func (k *keyset) refetch() {
	now := k.now()
	if !k.asked.IsZero() && now.Sub(k.asked) < keysFloor {
		return
	}
	k.asked = now
	keys, err := k.fetch()
	if err != nil {
		k.log.Warn("the issuer's keys cannot be had", "error", err)
		return
	}
	k.keys, k.fetched = keys, now
}

func (k *keyset) fetch() (map[string]*rsa.PublicKey, error) {
	req, err := http.NewRequestWithContext(k.life, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	res, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the issuer's keys: %w", err)
	case res.StatusCode != http.StatusOK || len(data) > maxKeySet:
		return nil, fmt.Errorf("read the issuer's keys: status %d, %d bytes", res.StatusCode, len(data))
	}
	return parseKeys(data)
}

// parseKeys keeps the RSA signing keys and passes over the rest: a set may hold kinds that we do not know.
func parseKeys(data []byte) (map[string]*rsa.PublicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("read the issuer's keys: %w", err)
	}
	keys := map[string]*rsa.PublicKey{}
	for _, raw := range set.Keys[:min(len(set.Keys), maxKeys)] {
		var one jose.JSONWebKey
		if one.UnmarshalJSON(raw) != nil || one.Use != "" && one.Use != "sig" {
			continue
		}
		if key, is := one.Key.(*rsa.PublicKey); is && one.KeyID != "" && key.N.BitLen() >= 2048 {
			keys[one.KeyID] = key
		}
	}
	return keys, nil
}
