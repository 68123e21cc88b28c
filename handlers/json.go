package handlers

import (
	"encoding/json"
	"net/url"
	"strings"
)

// special is 1 for bytes that do not stand in a JSON string as they are.
var special = func() (t [256]byte) {
	for c := range t {
		if c < 0x20 || c >= 0x7f || strings.ContainsRune(`"\<>&`, rune(c)) {
			t[c] = 1
		}
	}
	return t
}()

// appendJSON appends s as a JSON string. Tokens consist of characters that need no escape, so they are copied as they are;
// anything else goes the long way.
func appendJSON(b []byte, s string) []byte {
	found := byte(0)
	for i := range len(s) {
		found |= special[s[i]] // without a branch: a token is a thousand bytes
	}
	if found != 0 {
		quoted, _ := json.Marshal(s) // a string always marshals
		return append(b, quoted...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// parseQuery reads a query and forgives: a part that cannot be read is left out.
func parseQuery(query string) url.Values {
	q, err := url.ParseQuery(query)
	if err == nil {
		return q
	}
	q = url.Values{}
	for part := range strings.SplitSeq(query, "&") {
		one, err := url.ParseQuery(part)
		if err != nil {
			continue
		}
		for k, v := range one {
			q[k] = append(q[k], v...)
		}
	}
	return q
}
