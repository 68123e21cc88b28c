package loopback

import (
	"errors"
	"net/netip"
	"testing"
)

// A resolver's answer cannot be had through the front door, so its judge is asked directly.
func TestANameIsTakenOnlyIfEveryAddressIsLoopback(t *testing.T) {
	addr := netip.MustParseAddr
	for what, c := range map[string]struct {
		found []netip.Addr
		want  string // empty for a refusal
	}{
		"both families":      {[]netip.Addr{addr("::1"), addr("127.0.0.1")}, "127.0.0.1"},
		"IPv6 alone":         {[]netip.Addr{addr("::1")}, "::1"},
		"IPv4 in IPv6":       {[]netip.Addr{addr("::ffff:127.0.0.1")}, "127.0.0.1"},
		"one public address": {[]netip.Addr{addr("127.0.0.1"), addr("192.0.2.1")}, ""},
		"no address":         {nil, ""},
	} {
		got, err := pick("name", c.found)
		if c.want == "" {
			if !errors.Is(err, ErrNotLoopback) {
				t.Errorf("%s: got %v, %v", what, got, err)
			}
			continue
		}
		if err != nil || got.String() != c.want {
			t.Errorf("%s: got %v, %v", what, got, err)
		}
	}
}
