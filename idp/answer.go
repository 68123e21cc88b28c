package idp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	maxToken = 64 << 10
	maxScope = 2 << 10
	// defaultLife is taken when neither the answer nor the token says how long the token lives. RFC 6749
	// section 5.1 leaves it to documentation; guessing short costs a refresh, guessing long a failed call.
	defaultLife = 5 * time.Minute
	maxLife     = 365 * 24 * time.Hour
)

// tokenAnswer is a successful answer of the token endpoint (RFC 6749 section 5.1).
type tokenAnswer struct {
	access, refresh, id, scope string
	expiresIn                  time.Duration // 0: not said
}

// parseTokenAnswer reads an answer. The error is words of ours and quotes nothing.
func parseTokenAnswer(body []byte) (tokenAnswer, error) {
	var wire struct {
		Access    string          `json:"access_token"`
		Refresh   string          `json:"refresh_token"`
		ID        string          `json:"id_token"`
		Type      string          `json:"token_type"`
		Scope     json.RawMessage `json:"scope"`
		ExpiresIn json.RawMessage `json:"expires_in"`
	}
	if json.Unmarshal(body, &wire) != nil {
		return tokenAnswer{}, errors.New("not the JSON of a token answer")
	}
	switch {
	case wire.Access == "":
		return tokenAnswer{}, errors.New("no access_token")
	case wire.Type != "" && !strings.EqualFold(wire.Type, "Bearer"):
		return tokenAnswer{}, errors.New("token_type is not Bearer")
	case !tokenText(wire.Access) || !tokenText(wire.Refresh) || !tokenText(wire.ID):
		return tokenAnswer{}, errors.New("a token is too long or holds characters that no header carries")
	}
	t := tokenAnswer{access: wire.Access, refresh: wire.Refresh, id: wire.ID, expiresIn: seconds(wire.ExpiresIn)}
	if json.Unmarshal(wire.Scope, &t.scope) != nil || len(t.scope) > maxScope {
		t.scope = ""
	}
	return t, nil
}

// tokenText admits what can stand in an Authorization header: visible ASCII.
func tokenText(s string) bool {
	return len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// seconds reads expires_in as providers write it: a number, with a fraction or in quotes too.
func seconds(raw json.RawMessage) time.Duration {
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return 0
	}
	if n >= maxLife.Seconds() {
		return maxLife
	}
	return time.Duration(n * float64(time.Second))
}

// expiry is the end of an access token obtained at the given moment: what the answer says, but never later than
// the token itself says.
func (t tokenAnswer) expiry(issued time.Time) time.Time {
	end := issued.Add(t.expiresIn)
	exp, ok := peekExpiry(t.access)
	switch {
	case ok && (t.expiresIn == 0 || exp.Before(end)):
		return exp
	case t.expiresIn == 0:
		return issued.Add(defaultLife)
	}
	return end
}

// peekExpiry reads exp from an access token that happens to be a JWT. The token is not verified: it is not meant
// for us, and a lie could only shorten its use.
func peekExpiry(token string) (time.Time, bool) {
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if !Peek(token, &claims) {
		return time.Time{}, false
	}
	return unixTime(claims.Expires)
}

// Peek reads claims of an access token that happens to be a JWT (RFC 9068), as json.Unmarshal would, and says whether it could. Nothing
// is verified: the token is not meant for us, so what it says may inform, and never grant anything.
func Peek(token string, claims any) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	return err == nil && json.Unmarshal(payload, claims) == nil
}

// unixTime refuses what is no moment between 1970 and the year 9999.
func unixTime(n float64) (time.Time, bool) {
	const year9999 = 253402300799
	if math.IsNaN(n) || n <= 0 || n > year9999 {
		return time.Time{}, false
	}
	return time.Unix(int64(n), 0), true
}
