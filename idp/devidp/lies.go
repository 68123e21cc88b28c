package devidp

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Alg is a signature that a verifier must refuse.
type Alg string

// The algorithms to lie with: none at all; HMAC with the client secret; HMAC with the published RSA key in PEM as
// the secret, which fools verifiers that let the token choose the algorithm.
const (
	AlgNone           Alg = "none"
	AlgHS256          Alg = "HS256"
	AlgHS256PublicKey Alg = "HS256-public-key"
)

// Target says which token lies.
type Target string

// The targets. The zero value is the ID token alone.
const (
	InAccessToken Target = "access"
	InBothTokens  Target = "both"
)

// Lies are false statements in tokens, told at the code exchange and at refresh, each of which a client must find.
// Several may be set together.
type Lies struct {
	// WrongIssuer, WrongAudience (client_id in access tokens), WrongNonce, WrongSubject, WrongTokenUse and WrongAzp
	// put another value into that claim; WrongAtHash one that does not fit the access token.
	WrongIssuer   bool `json:"wrongIssuer,omitempty"`
	WrongAudience bool `json:"wrongAudience,omitempty"`
	WrongNonce    bool `json:"wrongNonce,omitempty"`
	WrongSubject  bool `json:"wrongSubject,omitempty"`
	WrongTokenUse bool `json:"wrongTokenUse,omitempty"`
	WrongAzp      bool `json:"wrongAzp,omitempty"`
	WrongAtHash   bool `json:"wrongAtHash,omitempty"`
	// Alg signs otherwise than the key set says.
	Alg Alg `json:"alg,omitempty"`
	// WrongKey signs with a key that was never published, under a published kid; UnknownKid the other way round.
	WrongKey   bool `json:"wrongKey,omitempty"`
	UnknownKid bool `json:"unknownKid,omitempty"`
	// Expired is an hour past exp, NotYetValid an hour before iat and nbf.
	Expired     bool `json:"expired,omitempty"`
	NotYetValid bool `json:"notYetValid,omitempty"`
	// NoIDToken leaves the ID token out of the answer.
	NoIDToken bool `json:"noIdToken,omitempty"`
	// In says which token lies. Default: the ID token.
	In Target `json:"in,omitempty"`
	// OnRefreshOnly spares the code exchange.
	OnRefreshOnly bool `json:"onRefreshOnly,omitempty"`
	// WrongState and WrongIss alter those parameters of the redirect to the client; NoIss leaves iss out although
	// it was promised (SendIss). They are not counted by Times, and OnRefreshOnly does not spare them.
	WrongState bool `json:"wrongState,omitempty"`
	WrongIss   bool `json:"wrongIss,omitempty"`
	NoIss      bool `json:"noIss,omitempty"`
	// Times is how many token answers lie; 0 is all until the faults are set anew.
	Times int `json:"times,omitempty"`
}

func (l Lies) check() error {
	switch l.Alg {
	case "", AlgNone, AlgHS256, AlgHS256PublicKey:
	default:
		return fmt.Errorf("alg %q is none of %s, %s, %s", l.Alg, AlgNone, AlgHS256, AlgHS256PublicKey)
	}
	switch l.In {
	case "", InAccessToken, InBothTokens:
	default:
		return fmt.Errorf("in %q is none of %s, %s", l.In, InAccessToken, InBothTokens)
	}
	if l.Times < 0 || (l.Times > 0 && l.inTokens() == Lies{}) {
		return fmt.Errorf("times is negative or counts no lie")
	}
	return nil
}

// inTokens is the lies without their modifiers and without those of the redirect; zero means honest tokens.
func (l Lies) inTokens() Lies {
	l.In, l.OnRefreshOnly, l.Times = "", false, 0
	l.WrongState, l.WrongIss, l.NoIss = false, false, false
	return l
}

// takeLies gives what to lie about in this token answer, and counts it.
func (b *faultBox) takeLies(refreshed bool) (Lies, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.f.Lies
	if (l.OnRefreshOnly && !refreshed) || l.inTokens() == (Lies{}) {
		return Lies{}, false
	}
	switch l.Times {
	case 0:
	case 1:
		b.f.Lies = Lies{WrongState: l.WrongState, WrongIss: l.WrongIss, NoIss: l.NoIss}
	default:
		b.f.Lies.Times--
	}
	return l, true
}

func (l Lies) aboutID() Lies {
	if l.In == InAccessToken {
		return Lies{}
	}
	return l
}

func (l Lies) aboutAccess() Lies {
	if l.In == "" {
		return Lies{}
	}
	return l
}

// bend makes the claims false.
func (l Lies) bend(c claims, now time.Time) {
	other := map[string]bool{
		"iss": l.WrongIssuer, audienceOf(c): l.WrongAudience, "nonce": l.WrongNonce, "sub": l.WrongSubject,
		"azp": l.WrongAzp, "at_hash": l.WrongAtHash,
	}
	for name, lie := range other {
		if lie {
			c[name] = "https://somebody-else.example"
		}
	}
	if l.WrongTokenUse {
		c["token_use"] = map[string]string{"id": "access", "access": "id"}[fmt.Sprint(c["token_use"])]
	}
	if l.Expired {
		c["iat"], c["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	}
	if l.NotYetValid {
		later := now.Add(time.Hour)
		c["iat"], c["nbf"], c["exp"] = later.Unix(), later.Unix(), later.Add(time.Hour).Unix()
	}
}

// audienceOf is the claim that says whom a token is for: Cognito's access tokens have client_id only.
func audienceOf(c claims) string {
	if _, ok := c["aud"]; ok {
		return "aud"
	}
	return "client_id"
}

// sign makes a compact JWT of the claims with the key, or with what the lies say instead.
func (s *Server) sign(c claims, key *signingKey, l Lies) (string, error) {
	return s.signTyped("", c, key, l)
}

// signTyped names the kind of token in the header; "" leaves that out, as Cognito does.
func (s *Server) signTyped(typ string, c claims, key *signingKey, l Lies) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	kid := key.kid
	if l.UnknownKid {
		kid = newKid()
	}
	switch {
	case l.Alg == AlgNone:
		return unsigned(payload), nil
	case l.Alg == AlgHS256:
		return compact(jose.HS256, []byte(s.ClientSecret()), head{kid, typ}, payload)
	case l.Alg == AlgHS256PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key.priv.Public())
		if err != nil {
			return "", fmt.Errorf("encode the public key: %w", err)
		}
		return compact(jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), head{kid, typ}, payload)
	case l.WrongKey:
		stray := s.keys.stray()
		<-stray.made
		return compact(jose.RS256, stray.priv, head{kid, typ}, payload)
	}
	return compact(jose.RS256, key.priv, head{kid, typ}, payload)
}

// head is what a token's header says besides the algorithm.
type head struct{ kid, typ string }

// compact signs with one of the key types jose takes: *rsa.PrivateKey or []byte. The kid is set as a header, since
// jose leaves it out for symmetric keys.
func compact(alg jose.SignatureAlgorithm, key any, h head, payload []byte) (string, error) {
	options := (&jose.SignerOptions{}).WithHeader("kid", h.kid)
	if h.typ != "" {
		options = options.WithHeader("typ", h.typ)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		return "", fmt.Errorf("make a signer: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("serialize a token: %w", err)
	}
	return token, nil
}

func unsigned(payload []byte) string {
	enc := base64.RawURLEncoding
	header := enc.EncodeToString([]byte(`{"alg":"none"}`))
	return string(bytes.Join([][]byte{[]byte(header), []byte(enc.EncodeToString(payload)), nil}, []byte(".")))
}
