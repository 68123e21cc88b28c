package session

import (
	"bytes"
	"encoding/hex"
)

// The text of a Cognito session names half a dozen UUIDs, some of them several times. deflate needs 22 bytes for one where 16
// would do, and stops matching at each. So every UUID is taken out of the text before it is deflated: a mark stands in
// its place, its bytes stand in a run of their own, and a UUID that comes again is a mark with its number.
//
//	0xff 0x00  the next UUID of the run
//	0xff n     the n-th UUID so far, from 1 to 254
//	0xff 0xff  0xff itself: UTF-8 never has it, but the lengths between the texts may
const (
	uuidMark   = 0xff
	uuidNext   = 0x00
	uuidLength = 36
	maxUUIDs   = 254
)

// foldUUIDs gives the text with marks, and the UUIDs' bytes. Only lower-case UUIDs are folded: they unfold to what they were.
func foldUUIDs(text []byte) (folded, uuids []byte) {
	folded = make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		id, ok := uuidAt(text[i:])
		switch {
		case ok:
			n := numberOf(id, uuids)
			if n == uuidNext && len(uuids) >= 16*maxUUIDs {
				folded = append(folded, text[i:i+uuidLength]...)
			} else {
				if n == uuidNext {
					uuids = append(uuids, id[:]...)
				}
				folded = append(folded, uuidMark, n)
			}
			i += uuidLength
		case text[i] == uuidMark:
			folded = append(folded, uuidMark, uuidMark)
			i++
		default:
			folded = append(folded, text[i])
			i++
		}
	}
	return folded, uuids
}

// numberOf is the number of a UUID that was seen before, or uuidNext.
func numberOf(id [16]byte, seen []byte) byte {
	for n := 0; n < len(seen); n += 16 {
		if bytes.Equal(seen[n:n+16], id[:]) {
			return byte(n/16 + 1)
		}
	}
	return uuidNext
}

func uuidAt(b []byte) (id [16]byte, ok bool) {
	if len(b) < uuidLength || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return id, false
	}
	at := 0
	for i := 0; i < uuidLength; {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			i++
			continue
		}
		high, low := hexValue(b[i]), hexValue(b[i+1])
		if high|low > 15 {
			return id, false
		}
		id[at] = high<<4 | low
		at++
		i += 2
	}
	return id, true
}

// hexValue is above 15 for what is no lower-case hexadecimal digit.
func hexValue(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// unfoldUUIDs is the inverse of foldUUIDs; false for what foldUUIDs did not make, and for more than maxInflated bytes.
func unfoldUUIDs(out, folded, uuids []byte) ([]byte, bool) {
	next := 0
	for {
		mark := bytes.IndexByte(folded, uuidMark)
		if mark < 0 {
			out = append(out, folded...)
			return out, next == len(uuids) && len(out) <= maxInflated
		}
		if mark+1 >= len(folded) || len(out) > maxInflated {
			return out, false
		}
		out = append(out, folded[:mark]...)
		n := folded[mark+1]
		folded = folded[mark+2:]
		from := (int(n) - 1) * 16
		switch n {
		case uuidMark:
			out = append(out, uuidMark)
			continue
		case uuidNext:
			from = next
			next += 16
		}
		if from+16 > min(next, len(uuids)) {
			return out, false
		}
		out = appendUUID(out, uuids[from:from+16])
	}
}

func appendUUID(out, id []byte) []byte {
	for i, part := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			out = append(out, '-')
		}
		out = hex.AppendEncode(out, part)
	}
	return out
}
