package devidp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"regexp"
	"sync"
	"time"
)

// Limits of what is remembered. The oldest sign-in is forgotten first.
const (
	maxCodes        = 10_000
	maxFamilies     = 10_000
	familyRemembers = 64 // refresh tokens of one sign-in, used ones included, that can still be told apart
)

// verifierShape is RFC 7636, section 4.1.
var verifierShape = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// grant is what a person allowed an application at one sign-in.
type grant struct {
	clientID, sub, sid, scope, resource, nonce string
	authTime                                   time.Time
}

// code is an authorization code. It is remembered after use, because its second use is an alarm.
type code struct {
	grant
	redirectURI, challenge string
	expires                time.Time
	spent                  bool
	family                 *family // what its one use began
}

// family is all that came from one sign-in: one origin_jti, one expiry, many refresh tokens.
type family struct {
	grant
	originJTI string
	expires   time.Time
	revoked   bool
	tokens    [][sha256.Size]byte // oldest first
}

// refreshToken is one member of a family; rotatedAt is zero until its first use under rotation.
type refreshToken struct {
	family    *family
	rotatedAt time.Time
}

// issue is the outcome of a redeemed code or a refresh: what to mint, and the refresh token to hand out, if any.
type issue struct {
	grant
	originJTI string
	refresh   string
}

// grants holds codes and families. One lock decides every use, so of two that race exactly one is first.
type grants struct {
	now                            func() time.Time
	codeLife, refreshLife, graceOf time.Duration
	rotate                         bool

	mu       sync.Mutex
	codes    *bounded[string, *code]
	families *bounded[string, *family]          // origin_jti → family
	tokens   map[[sha256.Size]byte]refreshToken // hash of a refresh token → its place
}

func newGrants(cfg Config) *grants {
	return &grants{
		now: cfg.Now, codeLife: cfg.CodeLife, refreshLife: cfg.RefreshLife, graceOf: cfg.Grace, rotate: !cfg.NoRotation,
		codes: newBounded[string, *code](maxCodes), families: newBounded[string, *family](maxFamilies),
		tokens: map[[sha256.Size]byte]refreshToken{},
	}
}

// issueCode gives a code for the grant. The redirect URI and the S256 challenge are what its use is held to.
func (g *grants) issueCode(gr grant, redirectURI, challenge string) string {
	value := randomUUID()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.codes.put(value, &code{grant: gr, redirectURI: redirectURI, challenge: challenge, expires: g.now().Add(g.codeLife)})
	return value
}

// redemption is what a client brings to redeem a code.
type redemption struct {
	code, clientID, redirectURI, verifier, resource string
}

// redeem uses a code once. A second use revokes all that the first one gave (RFC 6749, section 4.1.2); a first
// use that fails spends the code too, so that verifiers cannot be tried out.
func (g *grants) redeem(r redemption) (issue, *oauthError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.codes.get(r.code)
	switch {
	case !ok:
		return issue{}, refuse("invalid_grant", "unknown code")
	case c.clientID != r.clientID:
		return issue{}, refuse("invalid_grant", "the code belongs to another client")
	case c.spent:
		c.family.revoke()
		return issue{}, reuse("the code was used before")
	}
	c.spent = true
	switch {
	case !g.now().Before(c.expires):
		return issue{}, refuse("invalid_grant", "expired code")
	case c.redirectURI != r.redirectURI:
		return issue{}, refuse("invalid_grant", "another redirect_uri than at the authorization")
	case !provesPossession(c.challenge, r.verifier):
		return issue{}, refuse("invalid_grant", "the code_verifier does not fit the challenge")
	case conflict(c.resource, r.resource):
		return issue{}, refuse("invalid_target", "another resource than at the authorization")
	}
	c.resource = orString(c.resource, r.resource)
	c.family = g.begin(c.grant)
	return issue{grant: c.grant, originJTI: c.family.originJTI, refresh: g.mint(c.family)}, nil
}

// provesPossession is PKCE with S256. A verifier without a challenge is refused: somebody removed the challenge
// from the authorization request (RFC 9700, section 4.8.2).
func provesPossession(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	if !verifierShape.MatchString(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// refreshing is what a client brings to refresh.
type refreshing struct {
	token, clientID, resource string
}

// conflict reports that a token call asks for another audience than was granted (RFC 8707, section 2.2).
func conflict(granted, asked string) bool { return granted != "" && asked != "" && granted != asked }

// refresh uses a refresh token. Under rotation its first use replaces it; a use after the grace period revokes
// the family. The answer's refresh token is empty without rotation, as Cognito leaves it out.
func (g *grants) refresh(r refreshing) (issue, *oauthError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	hash := sha256.Sum256([]byte(r.token))
	t, ok := g.tokens[hash]
	switch {
	case !ok:
		return issue{}, refuse("invalid_grant", "unknown refresh token")
	case t.family.clientID != r.clientID:
		return issue{}, refuse("invalid_grant", "the refresh token belongs to another client")
	case t.family.revoked:
		return issue{}, refuse("invalid_grant", "revoked refresh token")
	case !g.now().Before(t.family.expires):
		return issue{}, refuse("invalid_grant", "expired refresh token")
	case conflict(t.family.resource, r.resource):
		return issue{}, refuse("invalid_target", "another resource than at the authorization")
	}
	out := issue{grant: t.family.grant, originJTI: t.family.originJTI}
	out.resource = orString(out.resource, r.resource)
	if !g.rotate {
		return out, nil
	}
	if t.rotatedAt.IsZero() {
		t.rotatedAt = g.now()
		g.tokens[hash] = t
	} else if g.now().Sub(t.rotatedAt) >= g.graceOf {
		t.family.revoke()
		return issue{}, reuse("the refresh token was rotated before")
	}
	out.refresh = g.mint(t.family)
	return out, nil
}

// begin starts a family. Caller holds the lock.
func (g *grants) begin(gr grant) *family {
	f := &family{grant: gr, originJTI: randomUUID(), expires: g.now().Add(g.refreshLife)}
	if old, full := g.families.put(f.originJTI, f); full {
		old.revoke()
		for _, hash := range old.tokens {
			delete(g.tokens, hash)
		}
	}
	return f
}

// mint adds a refresh token to the family and forgets its oldest beyond the limit. Caller holds the lock.
func (g *grants) mint(f *family) string {
	value := opaqueToken()
	hash := sha256.Sum256([]byte(value))
	g.tokens[hash] = refreshToken{family: f}
	f.tokens = append(f.tokens, hash)
	if len(f.tokens) > familyRemembers {
		delete(g.tokens, f.tokens[0])
		f.tokens = f.tokens[1:]
	}
	return value
}

// revokeToken ends the sign-in of a refresh token. Unknown tokens are no error (RFC 7009, section 2.2).
func (g *grants) revokeToken(token, clientID string) *oauthError {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.tokens[sha256.Sum256([]byte(token))]
	if !ok {
		return nil
	}
	if t.family.clientID != clientID {
		return refuse("invalid_request", "the refresh token belongs to another client")
	}
	t.family.revoke()
	return nil
}

// endUser revokes every family of the user and spends the codes that wait to be redeemed.
func (g *grants) endUser(sub string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for value, c := range g.codes.held {
		if c.sub == sub {
			g.codes.drop(value)
		}
	}
	for _, f := range g.families.held {
		if f.sub == sub {
			f.revoke()
		}
	}
}

// live reports whether access tokens of that sign-in still count at userInfo.
func (g *grants) live(originJTI string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, ok := g.families.get(originJTI)
	return ok && !f.revoked
}

// revoke is safe on nil: a code that failed its one use began no family.
func (f *family) revoke() {
	if f != nil {
		f.revoked = true
	}
}
