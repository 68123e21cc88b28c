package session

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"vestibule/kv"
)

const (
	// PendingLife is how long a sign-in may take.
	PendingLife = 10 * time.Minute
	// MaxPending is how many sign-ins of one browser may be under way; the oldest gives way.
	MaxPending = 5
	// MaxReturnTo bounds where a pending sign-in leads, in bytes: it is carried in a cookie.
	MaxReturnTo = 1024
	// MaxChoice bounds each of the other things that a pending sign-in remembers, in bytes.
	MaxChoice = 128
	// maxPendingBytes bounds all pending sign-ins of a browser together, names and values.
	maxPendingBytes = 6 << 10
)

// Errand is what a sign-in was begun with and is needed when the browser comes back. Nothing in it is secret, and nothing personal.
type Errand struct {
	ReturnTo         string // at most MaxReturnTo bytes
	Lang             string // language that was chosen for our pages, a BCP 47 tag of at most MaxChoice bytes; "": none was
	IdentityProvider string // that was chosen at the provider, at most MaxChoice bytes; "": none was
}

// Pending is a sign-in that was sent to the provider and has not come back. All its secrets come from one random seed, which
// the browser keeps sealed: a state is good only in the browser that began it.
type Pending struct {
	State    string // 128 bits, base64url without padding: Cognito encodes other characters differently from time to time
	Nonce    string // OIDC Core 1.0, section 3.1.2.1
	Verifier string // PKCE code verifier, 43 characters (RFC 7636, section 4.1)
	Errand
	Begun time.Time
}

// What is sealed begins with its version. Where nothing was chosen the first serves: replicas that do not know the second read it.
const (
	pendingVersion       = 1 // seed, time, returnTo
	pendingChoiceVersion = 2 // seed, time, language, identity provider, returnTo
)

// Begin makes a pending sign-in and gives the cookies to set: its own, and deletions of those that must give way.
func (m *Manager) Begin(header []string, e Errand) (Pending, []*http.Cookie, error) {
	if err := e.check(); err != nil {
		return Pending{}, nil, err
	}
	seed := make([]byte, 32)
	_, _ = rand.Read(seed) // never fails (crypto/rand)
	now := m.c.Now()
	p, err := pendingFrom(seed, now.Unix(), e)
	if err != nil {
		return Pending{}, nil, err
	}
	name := m.pendingName(p.State)
	sealed, err := m.sealer.seal(name, packPending(seed, now.Unix(), e))
	if err != nil {
		return Pending{}, nil, err
	}
	cookies := []*http.Cookie{m.cookieAs(name, sealed, int(PendingLife/time.Second), http.SameSiteLaxMode)}
	m.c.Observe(Event{Kind: EventPendingBegun})
	return p, append(cookies, m.makeRoom(header, len(name)+len(sealed))...), nil
}

// makeRoom deletes pending sign-ins, unreadable and expired ones first, then the oldest, until one more fits.
func (m *Manager) makeRoom(header []string, room int) []*http.Cookie {
	type held struct {
		brought
		begun time.Time
	}
	var live []held
	var out []*http.Cookie
	remove := func(name string) {
		out = append(out, m.cookieAs(name, "", -1, http.SameSiteLaxMode))
	}
	for _, b := range m.ours(header) {
		if !m.isPending(b.name) {
			continue
		}
		if p, ok := m.openPending(b); ok {
			live = append(live, held{b, p.Begun})
			room += len(b.name) + len(b.value)
		} else {
			remove(b.name)
		}
	}
	slices.SortStableFunc(live, func(a, b held) int { return a.begun.Compare(b.begun) })
	for len(live) > 0 && (len(live) >= MaxPending || room > maxPendingBytes) {
		remove(live[0].name)
		room -= len(live[0].name) + len(live[0].value)
		live = live[1:]
		m.c.Observe(Event{Kind: EventPendingEvicted})
	}
	return out
}

// Take gives the pending sign-in of the state and uses it up: the cookie that deletes it must be set whatever follows. A
// second use, also a simultaneous one in another replica, is ErrPendingUsed. *Unavailable: its cookie may be sealed under a key that
// may not be read yet; the sign-in is as it was.
func (m *Manager) Take(ctx context.Context, header []string, state string) (Pending, []*http.Cookie, error) {
	name := m.pendingName(state)
	version := m.sealer.version()
	asked := time.Now()
	p, brought, ok := m.find(header, name, state)
	if brought && !ok && m.sealer.changed(ctx, version) {
		p, _, ok = m.find(header, name, state)
	}
	if !ok {
		return Pending{}, nil, m.unknown(ctx, header, state, asked)
	}
	gone := []*http.Cookie{m.cookieAs(name, "", -1, http.SameSiteLaxMode)}
	if err := m.useUp(ctx, state); err != nil {
		return Pending{}, gone, err
	}
	m.c.Observe(Event{Kind: EventPendingTaken})
	return p, gone, nil
}

// find looks for the pending sign-in among the cookies; brought says that there is a cookie of its name.
func (m *Manager) find(header []string, name, state string) (p Pending, brought, ok bool) {
	for _, b := range m.ours(header) {
		if b.name != name {
			continue
		}
		brought = true
		p, ok := m.openPending(b)
		if ok && subtle.ConstantTimeCompare([]byte(p.State), []byte(state)) == 1 {
			return p, true, true
		}
	}
	return Pending{}, brought, false
}

// unknown tells a sign-in that came to its end, whose page was loaded again, from one that nobody here began, and from one that cannot
// be read here yet.
func (m *Manager) unknown(ctx context.Context, header []string, state string, asked time.Time) error {
	if _, err := m.c.Store.Get(ctx, usedKey(state)); err == nil {
		return ErrPendingUsed
	}
	name := m.pendingName(state)
	for _, b := range m.ours(header) {
		if b.name == name && m.sealer.undecided(asked, b.value) {
			return &Unavailable{Cause: errKeyUnread}
		}
	}
	return ErrPendingUnknown
}

func usedKey(state string) string {
	hash := sha256.Sum256([]byte(state))
	return "used/" + hex.EncodeToString(hash[:])
}

// useUp leaves a mark that the state was used. A store that does not answer is no reason to refuse a sign-in: the code is good
// only once at the provider.
func (m *Manager) useUp(ctx context.Context, state string) error {
	_, err := m.c.Store.Put(ctx, kv.Write{Key: usedKey(state), TTL: PendingLife, If: kv.Absent})
	switch {
	case errors.Is(err, kv.ErrConflict):
		return ErrPendingUsed
	case err != nil:
		m.c.Logger.WarnContext(ctx, "the cache does not answer: a second use of this sign-in would not be noticed here", "error", err)
	}
	return nil
}

func (m *Manager) openPending(b brought) (Pending, bool) {
	plain, ok := m.sealer.open(b.name, b.value)
	if !ok || len(plain) < 33 || plain[0] != pendingVersion && plain[0] != pendingChoiceVersion {
		return Pending{}, false
	}
	var e Errand
	r := &reader{b: plain[33:]}
	begun := r.seconds()
	if plain[0] == pendingChoiceVersion {
		e.Lang, e.IdentityProvider = string(r.run()), string(r.run())
	}
	e.ReturnTo = string(r.b)
	if r.bad {
		return Pending{}, false
	}
	p, err := pendingFrom(plain[1:33], begun, e)
	if err != nil || !m.c.Now().Before(p.Begun.Add(PendingLife)) {
		return Pending{}, false
	}
	return p, true
}

func packPending(seed []byte, begun int64, e Errand) []byte {
	version := byte(pendingVersion)
	if e.Lang != "" || e.IdentityProvider != "" {
		version = pendingChoiceVersion
	}
	plain := binary.AppendUvarint(append([]byte{version}, seed...), uint64(begun))
	if version == pendingChoiceVersion {
		plain = appendRun(appendRun(plain, e.Lang), e.IdentityProvider)
	}
	return append(plain, e.ReturnTo...)
}

func (e Errand) check() error {
	for _, part := range []struct {
		name  string
		size  int
		limit int
	}{
		{"returnTo", len(e.ReturnTo), MaxReturnTo}, {"language", len(e.Lang), MaxChoice}, {"identity provider", len(e.IdentityProvider), MaxChoice},
	} {
		if part.size > part.limit {
			return fmt.Errorf("session: %s of %d bytes, want at most %d", part.name, part.size, part.limit)
		}
	}
	return nil
}

func pendingFrom(seed []byte, begun int64, e Errand) (Pending, error) {
	p := Pending{Errand: e, Begun: time.Unix(begun, 0)}
	for _, d := range []struct {
		field   *string
		purpose string
		bytes   int
	}{{&p.State, "state", 16}, {&p.Nonce, "nonce", 16}, {&p.Verifier, "code verifier", 32}} {
		b, err := hkdf.Expand(sha256.New, seed, "vestibule pending "+d.purpose, d.bytes)
		if err != nil {
			return Pending{}, fmt.Errorf("derive a pending sign-in: %w", err)
		}
		*d.field = base64.RawURLEncoding.EncodeToString(b)
	}
	return p, nil
}

// pendingName gives every pending sign-in a cookie of its own: tabs that begin at the same moment do not overwrite each other.
func (m *Manager) pendingName(state string) string {
	hash := sha256.Sum256([]byte(state))
	return m.c.CookieName + ".p." + hex.EncodeToString(hash[:4])
}

func (m *Manager) isPending(name string) bool {
	return strings.HasPrefix(name, m.c.CookieName+".p.")
}
