package devidp

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
)

// randomLower gives n characters of Cognito's client id alphabet, 5 bits each.
func randomLower(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(strings.ToLower(rand.Text()))
	}
	return b.String()[:n]
}

// randomBytes gives n random bytes; crypto/rand ends the program rather than fail.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func uuid(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func randomUUID() string { return uuid(randomBytes(16)) }

// opaqueToken looks like Cognito's refresh tokens, a JWE of five parts that nobody but the provider can read,
// 1,781 characters. Here the parts are random.
func opaqueToken() string {
	part := func(n int) string { return base64.RawURLEncoding.EncodeToString(randomBytes(n)) }
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}`))
	return strings.Join([]string{header, part(256), part(12), part(1000), part(16)}, ".")
}
