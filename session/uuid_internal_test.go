package session

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestUUIDsAreFoldedOnceAndUnfoldedExactly(t *testing.T) {
	const a, b = "0a8b6d0f-efbc-c69c-31be-b2e3e90471d9", "ffffffff-0000-4000-8000-000000000000"
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, "%08x-0000-4000-8000-000000000000 ", i)
	}
	for name, c := range map[string]struct {
		text  string
		uuids int
	}{
		"none":                       {"no UUID here", 0},
		"one":                        {a, 1},
		"one that comes again":       {a + " " + b + a + a, 2},
		"upper case stays":           {strings.ToUpper(a), 0},
		"cut short":                  {a[:35], 0},
		"a digit too many before it": {"0" + a, 1},
		"dashes in the wrong place":  {"0a8b6d0fe-fbc-c69c-31be-b2e3e90471d9", 0},
		"the mark itself":            {"\xff\x00\xff\xff" + a + "\xff", 1},
		"more than have a number":    {many.String(), maxUUIDs},
		"nothing":                    {"", 0},
	} {
		folded, uuids := foldUUIDs([]byte(c.text))
		if len(uuids) != 16*c.uuids {
			t.Errorf("%s: %d bytes of UUIDs, want %d", name, len(uuids), 16*c.uuids)
		}
		if got, ok := unfoldUUIDs(nil, folded, uuids); !ok || string(got) != c.text {
			t.Errorf("%s: unfolded to %q, %v", name, got, ok)
		}
	}
}

func TestWhatWasNotFoldedIsRefused(t *testing.T) {
	id := bytes.Repeat([]byte{1}, 16)
	for name, c := range map[string]struct{ folded, uuids string }{
		"a mark at the end":              {"abc\xff", ""},
		"a UUID that is not there":       {"\xff\x00", ""},
		"half a UUID":                    {"\xff\x00", string(id[:8])},
		"a number before its UUID":       {"\xff\x01", string(id)},
		"a number that nobody has":       {"\xff\x00\xff\x02", string(id)},
		"UUIDs that the text lacks":      {"abc", string(id)},
		"more than a session may unfold": {strings.Repeat("\xff\x01", maxInflated/30), string(id)},
	} {
		if out, ok := unfoldUUIDs(nil, []byte(c.folded), []byte(c.uuids)); ok {
			t.Errorf("%s: unfolded to %d bytes", name, len(out))
		}
	}
}

func FuzzUUIDs(f *testing.F) {
	f.Add([]byte("sub 0a8b6d0f-efbc-c69c-31be-b2e3e90471d9 \xff\x00"), []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, text, uuids []byte) {
		_, _ = unfoldUUIDs(nil, text, uuids)
		if len(text) > maxInflated {
			return
		}
		folded, ids := foldUUIDs(text)
		if got, ok := unfoldUUIDs(nil, folded, ids); !ok || !bytes.Equal(got, text) {
			t.Fatalf("%q unfolded to %q, %v", text, got, ok)
		}
	})
}
