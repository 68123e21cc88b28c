package session

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// Lean is the session without what it can do without: the raw ID token and the claims. It is what is kept of a session that has grown
// too large for its cookies, so that the browser holds the refresh token that is good, and not the one that was spent.
func (s *Session) Lean() *Session {
	lean := *s
	lean.Tokens.IDToken, lean.Tokens.Claims = "", nil
	return &lean
}

// Header limits that cookies meet on their way. The session cookie is not all that stands there.
const (
	nginxHeaderLimit = 8 << 10  // large_client_header_buffers, by default
	nodeHeaderLimit  = 16 << 10 // --max-http-header-size, by default
)

// Budget is what the cookies of a session weigh.
type Budget struct {
	Bytes   int    // names and values
	Limit   string // the first usual limit that Bytes come near; "" while there is room
	Largest string // the part of the session that costs most
}

// Weigh says what the cookies that carry s weigh, together with others bytes of cookies that the browser brings anyway. A limit is near
// at three quarters of it.
func Weigh(s *Session, cookies []*http.Cookie, others int) Budget {
	b := Budget{Bytes: others, Largest: largest(s)}
	for _, c := range cookies {
		b.Bytes += len(c.Name) + len(c.Value)
	}
	switch {
	case b.Bytes > nodeHeaderLimit*3/4:
		b.Limit = "Node (16 kB)"
	case b.Bytes > nginxHeaderLimit*3/4:
		b.Limit = "nginx (8 kB)"
	}
	return b
}

func largest(s *Session) string {
	name, most := "", 0
	for _, part := range []struct {
		name string
		size int
	}{
		{"access token", len(s.Tokens.AccessToken)}, {"refresh token", len(s.Tokens.RefreshToken)},
		{"ID token", len(s.Tokens.IDToken)}, {"claims", len(s.Tokens.Claims)},
	} {
		if part.size > most {
			name, most = part.name, part.size
		}
	}
	return name
}

// Typical weighs a session of the usual Cognito size under this configuration, so that an operator hears of a tight budget at
// start and not from the first person who signs in. idToken: sessions keep the raw ID token.
func (m *Manager) Typical(idToken bool) (Budget, error) {
	now := m.c.Now()
	t := Tokens{
		AccessToken: sampleJWT(`"client_id":"` + m.c.ClientID + `","token_use":"access","scope":"openid profile email"`),
		RefreshToken: tokenEncoding.EncodeToString([]byte(`{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}`)) + "." +
			noise(256) + "." + noise(12) + "." + noise(1000) + "." + noise(16),
		Nonce: noise(16), Subject: uuid(), ProviderID: uuid(),
		Issued: now, Expires: now.Add(m.c.RefreshBefore), Claims: json.RawMessage(`{"email":"somebody@example.com","name":"Some Body"}`),
	}
	if idToken {
		t.IDToken = sampleJWT(`"aud":"` + m.c.ClientID + `","token_use":"id","email":"somebody@example.com","name":"Some Body"`)
	}
	s := m.newSession(now, t)
	cookies, err := m.sealed(s)
	return Weigh(s, cookies, 0), err
}

// sampleJWT has what every Cognito token has, and nothing of which repeats from one token to the next.
func sampleJWT(claims string) string {
	head := `{"kid":"` + noise(32) + `=","alg":"RS256"}`
	body := `{"sub":"` + uuid() + `","origin_jti":"` + uuid() + `","event_id":"` + uuid() + `","jti":"` + uuid() +
		`","auth_time":1790000000,"exp":1790003600,"iat":1790000000,` + claims + `}`
	return tokenEncoding.EncodeToString([]byte(head)) + "." + tokenEncoding.EncodeToString([]byte(body)) + "." + noise(256)
}

func uuid() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return string(appendUUID(nil, id[:]))
}

func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}
