package session

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"vestibule/kv"
)

// Provider is what a session needs of the OAuth provider. All calls are bounded by the context they are given.
type Provider interface {
	// Refresh spends the refresh token of the session. It answers ErrRefused, ErrUntrusted or *Unavailable; any other
	// error counts as *Unavailable. Tokens without RefreshToken keep the old one. Tokens that come with *Unavailable were
	// granted but could not be verified yet: they are kept, and served only after Confirm.
	Refresh(ctx context.Context, old Tokens) (Tokens, error)
	// Confirm verifies such tokens, with the answers of Refresh. It may be called any number of times.
	Confirm(ctx context.Context, old, unverified Tokens) (Tokens, error)
	// Revoke makes the refresh token useless (RFC 7009).
	Revoke(ctx context.Context, refreshToken string) error
}

// Config configures New. Keys, Store, Provider, Issuer, ClientID and CookieName are required.
type Config struct {
	Keys     KeyRing
	Store    kv.Store // coordinates refreshes and holds revocations across replicas
	Provider Provider

	// Issuer and ClientID name the provider's registration: a session of another one is not readable.
	Issuer, ClientID string

	CookieName string        // of the session cookie; chunks and pending sign-ins are named behind it
	Secure     bool          // https
	SameSite   http.SameSite // of the session cookie; default Lax. Pending sign-ins are always Lax

	MaxAge        time.Duration // absolute lifetime; default 720 h. A session keeps that of its sign-in, or this one if it is shorter
	IdleTimeout   time.Duration // 0: off
	RefreshBefore time.Duration // refresh when less is left; default 5 min, at most half of the token's life

	Remembered int // how many opened cookies are remembered; default 256, negative: none

	Timing  Timing
	Now     func() time.Time // default time.Now
	Logger  *slog.Logger     // default: discards
	Observe func(Event)      // told of what happens, for metrics; default: nobody

	Mode Mode // where sessions are kept; default ModeCookie
	// Feed tells the other replicas at once what becomes of a session, and this one what they tell; nil: Watch hears of this process
	// alone. Run must be running.
	Feed kv.Feed
	// QuietRenewals: refreshes are not told to other replicas, because each message costs the feed a write.
	QuietRenewals bool
}

// Mode is where sessions are kept.
type Mode uint8

const (
	// ModeCookie keeps the whole session sealed in the browser's cookies; the store coordinates only.
	ModeCookie Mode = iota
	// ModeServer keeps it in the store, sealed under a key that only the browser's cookie holds.
	ModeServer
)

// Timing is how long things take and are kept. The zero value of each field means its default.
type Timing struct {
	WaitLiving time.Duration // a caller whose token still lives waits this long for a refresh; 2 s
	WaitDead   time.Duration // a caller without a living token; 15 s
	Call       time.Duration // one refresh at the provider, its own retries included; 12 s
	Flight     time.Duration // all of a refresh, waiting for other replicas included; 45 s
	Lease      time.Duration // a lease without renewal; 20 s
	Renew      time.Duration // how often it is renewed; 5 s
	Poll       time.Duration // how often a waiter looks; 100 ms, jittered
	Successor  time.Duration // a result is kept at least this long; 10 min
	Failure    time.Duration // a definite refusal is remembered; 30 s
	Forced     time.Duration // at most one refresh that was merely asked for, per session; 10 s
	Breather   time.Duration // after a failed refresh a living token is served without a new attempt; 5 s
	Revoke     time.Duration // how long End waits for the provider's revocation; 2 s
}

// Event is one thing that happened.
type Event struct {
	Kind    EventKind
	Outcome string // of a refresh: refreshed, adopted, unavailable; of an adoption: adopted; or the Reason why the session was over
	Bytes   int    // of a cookie written: names and values
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds.
const (
	EventRefresh         EventKind = "refresh"          // one flight ended
	EventRefreshDegraded EventKind = "refresh_degraded" // the store does not answer: coordinated in this process alone
	EventRevocationBlind EventKind = "revocation_blind" // the store does not answer: an ended session would pass
	EventCookie          EventKind = "cookie"           // a session cookie was made
	EventPendingBegun    EventKind = "pending_begun"
	EventPendingTaken    EventKind = "pending_taken"
	EventPendingEvicted  EventKind = "pending_evicted"
	EventRemembered      EventKind = "remembered" // an opened cookie was known already
	EventOpened          EventKind = "opened"     // a cookie was opened
	EventAdoption        EventKind = "adoption"   // a session that began elsewhere was brought
	EventEnded           EventKind = "ended"      // this process ended a session, or all of a group; Outcome is the Reason
	EventStoreDown       EventKind = "store_down" // server mode: the store does not answer, and nobody can say whether a session stands
	EventIdleBlind       EventKind = "idle_blind" // the store did not take, or could not be asked for, what an idle time-out goes by
)

// Manager keeps sessions. Make it with New; its methods are safe for concurrent use.
type Manager struct {
	c        Config
	t        Timing
	sealer   *sealer
	codec    *codec
	known    *known
	local    *kv.Memory // coordinates within the process while the store does not answer
	holder   *holder
	flights  singleflight.Group
	recent   *lru.Cache[ID, attempt] // session → its last refresh attempt in this process
	running  flightCount
	backlog  *backlog
	watches  *watches
	marked   *lru.Cache[ID, []string] // server mode: session → its mark keys, so that one call looks for all
	unread   series                   // faults of the store when it was asked what stands
	unleased series                   // and when a lease was to be taken
	unnoted  *unnoted                 // use of sessions that could not be written
	absent   atomic.Int64             // server mode: when the store was last seen to be away, Unix milliseconds; see settling
}

// attempt is what is remembered of the last refresh of a session here.
type attempt struct {
	at         time.Time
	failures   int       // in a row
	notBefore  time.Time // the provider's Retry-After, or our own pause after several failures
	generation uint32    // the newest form that was made here
}

// markedSessions bounds Manager.marked; forgetting one costs a second call.
const markedSessions = 8192

// recentAttempts bounds Manager.recent; forgetting one costs an early retry, nothing else.
const recentAttempts = 16_384

// New makes a Manager; the error names what is missing.
func New(c Config) (*Manager, error) {
	for name, missing := range map[string]bool{
		"Keys": c.Keys == nil, "Store": c.Store == nil, "Provider": c.Provider == nil,
		"Issuer": c.Issuer == "", "ClientID": c.ClientID == "", "CookieName": c.CookieName == "",
	} {
		if missing {
			return nil, errors.New("session: Config." + name + " is missing")
		}
	}
	c.setDefaults()
	m := &Manager{c: c, t: c.Timing, codec: newCodec(c.Issuer, c.ClientID), local: kv.NewMemory(kv.MemoryConfig{Now: c.Now}), watches: newWatches(), backlog: newBacklog(), holder: newHolder()}
	var err error
	if m.sealer, err = newSealer(c.Keys); err != nil {
		return nil, err
	}
	if m.known, err = newKnown(c.Remembered); err != nil {
		return nil, err
	}
	if m.marked, err = lru.New[ID, []string](markedSessions); err != nil {
		return nil, err
	}
	if m.unnoted, err = newUnnoted(); err != nil {
		return nil, err
	}
	m.recent, err = lru.New[ID, attempt](recentAttempts)
	return m, err
}

func (c *Config) setDefaults() {
	if c.SameSite == 0 {
		c.SameSite = http.SameSiteLaxMode
	}
	if c.Remembered == 0 {
		c.Remembered = 256
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	t := &c.Timing
	for _, d := range []struct {
		field     *time.Duration
		byDefault time.Duration
	}{
		{&c.MaxAge, defaultMaxAge}, {&c.RefreshBefore, 5 * time.Minute},
		{&t.WaitLiving, 2 * time.Second}, {&t.WaitDead, 15 * time.Second}, {&t.Call, 12 * time.Second},
		{&t.Flight, 45 * time.Second}, {&t.Lease, 20 * time.Second}, {&t.Renew, 5 * time.Second},
		{&t.Poll, 100 * time.Millisecond}, {&t.Successor, 10 * time.Minute}, {&t.Failure, 30 * time.Second},
		{&t.Forced, 10 * time.Second}, {&t.Breather, 5 * time.Second}, {&t.Revoke, 2 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.byDefault
		}
	}
}

// Expires is when the session is over at the latest: its absolute lifetime, the end of its idleness, or, without a refresh token,
// the end of its access token, whichever comes first.
func (m *Manager) Expires(s *Session) time.Time {
	end := m.Limit(s)
	if idle := s.Seen.Add(m.c.IdleTimeout); m.c.IdleTimeout > 0 && idle.Before(end) {
		end = idle
	}
	if s.Tokens.RefreshToken == "" && s.Tokens.Expires.Before(end) {
		end = s.Tokens.Expires
	}
	return end
}

// Start makes a session of freshly granted tokens, under a new ID whatever the browser brought, and gives the cookies to
// set. A session that the browser brought is replaced: its cookie is refused from now on and its refresh token revoked. device is what
// the list of somebody's sessions calls this one, in server mode: a short label, of which 64 bytes count. *Unavailable: server mode,
// and the store did not take the session.
func (m *Manager) Start(ctx context.Context, t Tokens, header []string, device string) (*Session, []*http.Cookie, error) {
	s := m.newSession(m.beginning(ctx, t), t)
	if m.c.Mode == ModeServer {
		if err := m.create(ctx, s, device); err != nil {
			m.revokeNewest(ctx, s) // nobody will ever hold it
			return nil, nil, err
		}
	}
	cookies, err := m.Cookies(s, header)
	if err != nil {
		m.revokeNewest(ctx, s)
		return nil, nil, err
	}
	if old, err := m.Load(ctx, header); err == nil {
		_ = m.markEnded(ctx, old, ReasonReplaced) // as in End
		m.revokeNewest(ctx, old)
	}
	return s, cookies, nil
}
