package eventsdev

import "strings"

const (
	maxSegments      = 5
	maxSegmentLength = 50
	// maxChannelLength is the longest channel with both outer slashes.
	maxChannelLength = maxSegments*(maxSegmentLength+1) + 1
)

// channel is a place to publish to or to listen at.
type channel struct {
	path  string // segments joined by slashes, without outer ones
	under bool   // everything below path: what /path/* subscribes to
}

// parseChannel reads the form of the AppSync developer guide: 1 to 5 segments of 1 to 50 letters, digits and inner hyphens,
// case sensitive, a slash at either end allowed. A star stands only as the last of several segments; whether it may is
// the caller's to say.
func parseChannel(raw string) (channel, bool) {
	if len(raw) > maxChannelLength {
		return channel{}, false
	}
	path := strings.TrimSuffix(strings.TrimPrefix(raw, "/"), "/")
	if strings.Count(path, "/") >= maxSegments {
		return channel{}, false
	}
	c := channel{}
	c.path, c.under = strings.CutSuffix(path, "/*")
	for segment := range strings.SplitSeq(c.path, "/") {
		if !isSegment(segment) {
			return channel{}, false
		}
	}
	return c, true
}

func (c channel) namespace() string {
	first, _, _ := strings.Cut(c.path, "/")
	return first
}

// isSegment: 1 to 50 of A-Z, a-z, 0-9 and hyphens, no hyphen at either end.
func isSegment(s string) bool {
	if s == "" || len(s) > maxSegmentLength || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !isAlphanumeric(r) && r != '-' })
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// isOperationID is the developer guide's ^[a-zA-Z0-9-_+]{1,128}$.
func isOperationID(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-_+", r) })
}
