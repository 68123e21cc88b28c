package machine

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
)

// token is an answer of the provider that holds a token, cut open where its expires_in stood: the rest is never touched.
type token struct {
	asked   time.Time // when the provider was asked: its life counts from here, which is the careful way
	expires time.Time
	cost    time.Duration // how long the provider took
	packed  []byte        // content type, seconds over maxLife, text before the number, text after it
}

func (t *token) life() time.Duration { return t.expires.Sub(t.asked) }

// left is never more than the provider gave: a replica whose clock is ahead may have asked, as it seems here, in the future.
func (t *token) left(now time.Time) time.Duration { return min(t.expires.Sub(now), t.life()) }

// newer says whether a token is a later one. What was asked for later may end earlier, if the provider shortened the life of its tokens.
func (t *token) newer(than *token) bool { return than == nil || t.asked.After(than.asked) }

// maxLife bounds how long a token is kept: a year. What a provider says beyond that is counted down to the caller all the same.
const maxLife = 365 * 24 * time.Hour

var errNoToken = errors.New("machine: the answer holds no token that could be kept")

// cut makes a token of an answer. An answer without access_token or a readable expires_in, or with two of either, is none.
func cut(r reply) (*token, error) {
	at, err := survey(r.body)
	if err != nil {
		return nil, err
	}
	digits := bytes.Trim(r.body[at.from:at.to], `"`) // some providers write a text
	seconds, ok := wholeSeconds(digits)
	if !ok || len(r.contentType) > 255 {
		return nil, errNoToken
	}
	kept := min(seconds, int64(maxLife/time.Second))
	start := at.from + bytes.Index(r.body[at.from:at.to], digits)
	t := &token{asked: r.asked, expires: r.asked.Add(time.Duration(kept) * time.Second), cost: r.took}
	t.packed = append(t.packed, byte(len(r.contentType)))
	t.packed = append(t.packed, r.contentType...)
	t.packed = binary.BigEndian.AppendUint64(t.packed, uint64(seconds-kept))
	t.packed = binary.BigEndian.AppendUint32(t.packed, uint32(start))
	t.packed = append(t.packed, r.body[:start]...)
	t.packed = append(t.packed, r.body[start+len(digits):]...)
	return t, nil
}

// maxSeconds is the largest whole number that every reader of JSON takes for the same (RFC 8259, section 6).
const maxSeconds = 1<<53 - 1

// wholeSeconds reads expires_in. RFC 6749 wants a number and JSON does not tell 3600 from 3600.0 or 3.6e3, which some providers write;
// a fraction is none of them.
func wholeSeconds(digits []byte) (int64, bool) {
	seconds, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		if !json.Valid(digits) { // a text may hold anything, and ParseFloat takes more than numbers of JSON
			return 0, false
		}
		f, err := strconv.ParseFloat(string(digits), 64)
		if err != nil || f != math.Trunc(f) || f > maxSeconds {
			return 0, false
		}
		seconds = int64(f)
	}
	return seconds, seconds >= 1 && seconds <= maxSeconds
}

// extent is where a value stands in a text.
type extent struct{ from, to int }

// survey finds the value of expires_in in a token answer (RFC 6749, section 5.1).
func survey(body []byte) (at extent, err error) {
	if !json.Valid(body) { // a decoder alone would not look behind the end
		return at, errNoToken
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return at, errNoToken
	}
	access, expires := 0, 0
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return at, errNoToken
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return at, errNoToken
		}
		switch name {
		case "access_token":
			access++
			if len(value) < 3 || value[0] != '"' {
				return at, errNoToken
			}
		case "expires_in":
			expires++
			end := int(d.InputOffset())
			at = extent{end - len(value), end}
		}
	}
	if access != 1 || expires != 1 {
		return at, errNoToken
	}
	return at, nil
}

// without leaves a member of a JSON object out, and says whether it was there. The other members stay as they are, in their order.
func without(body []byte, name string) (kept []byte, found bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') || !json.Valid(body) {
		return body, false
	}
	start := d.InputOffset()
	kept = append(kept, body[:start]...)
	for d.More() {
		member, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return body, false
		}
		end := d.InputOffset()
		text := bytes.TrimLeft(body[start:end], ", \t\r\n")
		start = end
		if member == name {
			found = true
			continue
		}
		if kept[len(kept)-1] != '{' {
			kept = append(kept, ',')
		}
		kept = append(kept, text...)
	}
	if !found {
		return body, false
	}
	return append(kept, body[start:]...), true
}

// unpack gives the content type of a packed answer, and appends its body with the seconds that are left.
func unpack(dst, packed []byte, left time.Duration) (contentType string, body []byte, ok bool) {
	if len(packed) < 1 || len(packed) < 1+int(packed[0])+8+4 {
		return "", nil, false
	}
	contentType, packed = knownType(packed[1:1+int(packed[0])]), packed[1+int(packed[0]):]
	beyond, packed := int64(binary.BigEndian.Uint64(packed)), packed[8:]
	start, text := int(binary.BigEndian.Uint32(packed)), packed[4:]
	if start > len(text) {
		return "", nil, false
	}
	dst = append(dst, text[:start]...)
	dst = strconv.AppendInt(dst, int64(left/time.Second)+beyond, 10)
	return contentType, append(dst, text[start:]...), true
}

// knownType saves an allocation for what providers usually say.
func knownType(text []byte) string {
	switch string(text) {
	case "application/json":
		return "application/json"
	case "application/json;charset=UTF-8":
		return "application/json;charset=UTF-8"
	case "application/json; charset=utf-8":
		return "application/json; charset=utf-8"
	}
	return string(text)
}

// stamps are the numbers of a token, 20 bytes.
const stampSize = 20

func (t *token) appendStamps(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.asked.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(t.expires.UnixMilli()))
	return binary.BigEndian.AppendUint32(b, uint32(t.cost.Milliseconds()))
}

// readStamps reads what appendStamps wrote; b has at least stampSize bytes.
func readStamps(b []byte) token {
	return token{
		asked:   time.UnixMilli(int64(binary.BigEndian.Uint64(b))),
		expires: time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:]))),
		cost:    time.Duration(binary.BigEndian.Uint32(b[16:])) * time.Millisecond,
	}
}

// marshal is the token for the store, before it is sealed.
func (t *token) marshal() []byte {
	return append(t.appendStamps([]byte{tokenFormat}), t.packed...)
}

// tokenFormat is the version of what stands in the store; another one is no token.
const tokenFormat = 2

func unmarshal(b []byte) (*token, error) {
	if len(b) < 1+stampSize || b[0] != tokenFormat {
		return nil, errNoToken
	}
	t := readStamps(b[1:])
	t.packed = b[1+stampSize:]
	return &t, nil
}
