package session

import (
	"encoding/base64"
	"strings"
)

// A token is kept in as many parts as it has between its dots, each decoded from base64url where encoding it again gives the
// same characters, so that three quarters of its bytes remain and the JSON inside can be compressed.
const (
	partAsIs   = iota // the characters themselves, in the text
	partText          // decoded, in the text
	partBinary        // decoded, in the binary run
	partTail          // the same, but the last character carries bits that decoding loses: it stands in the text
)

// maxParts is enough for a JWE, which has five (RFC 7516); a token of more is kept in one part.
const maxParts = 8

// tokenEncoding is strict: it refuses trailing bits that are not zero, which encoding again would lose. Tokens that are random text and
// only look like base64url have such bits; looseEncoding drops them.
var (
	tokenEncoding = base64.RawURLEncoding.Strict()
	looseEncoding = base64.RawURLEncoding
)

func packToken(text, run []byte, token string) (newText, newRun []byte) {
	if token == "" {
		return append(text, 0), run
	}
	parts := []string{token}
	if strings.Count(token, ".") < maxParts {
		parts = strings.Split(token, ".")
	}
	text = append(text, byte(len(parts)))
	for _, p := range parts {
		kind, decoded := partOf(p)
		text = append(text, byte(kind))
		switch kind {
		case partAsIs:
			text = appendRun(text, p)
		case partText:
			text = appendRun(text, decoded)
		case partBinary:
			run = appendRun(run, decoded)
		case partTail:
			run = appendRun(run, decoded)
			text = append(text, p[len(p)-1])
		}
	}
	return text, run
}

func partOf(p string) (kind int, decoded []byte) {
	if strings.ContainsAny(p, "\r\n") { // the decoder skips line breaks
		return partAsIs, nil
	}
	decoded, err := tokenEncoding.DecodeString(p)
	if err != nil {
		if decoded, err = looseEncoding.DecodeString(p); err != nil {
			return partAsIs, nil
		}
		return partTail, decoded
	}
	if len(decoded) > 0 && decoded[0] == '{' {
		return partText, decoded
	}
	return partBinary, decoded
}

// appendToken is the inverse of packToken.
func appendToken(out []byte, text, run *reader) []byte {
	for i := range int(text.number(maxParts)) {
		if i > 0 {
			out = append(out, '.')
		}
		switch text.number(partTail) {
		case partAsIs:
			out = append(out, text.run()...)
		case partText:
			out = tokenEncoding.AppendEncode(out, text.run())
		case partBinary:
			out = tokenEncoding.AppendEncode(out, run.run())
		case partTail:
			out = tokenEncoding.AppendEncode(out, run.run())
			if last := text.take(); len(out) > 0 {
				out[len(out)-1] = last
			}
		}
	}
	return out
}
