package devidp

import (
	"errors"
	"net/netip"
	"testing"
	"time"
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
		got, err := pickLoopback("name", c.found)
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

func TestBoundedForgetsTheOldestFirst(t *testing.T) {
	b := newBounded[int, int](3)
	for i := range 3 {
		if _, full := b.put(i, i); full {
			t.Errorf("%d pushed something out", i)
		}
	}
	b.drop(0)
	if _, full := b.put(3, 3); full {
		t.Error("there was room")
	}
	if old, full := b.put(4, 4); !full || old != 1 {
		t.Errorf("pushed out %d, %v", old, full)
	}
	for i := 5; i < 100; i++ {
		b.put(i, i)
		b.drop(i)
	}
	if len(b.order) > 6 || len(b.held) > 3 {
		t.Errorf("%d keys in order, %d held", len(b.order), len(b.held))
	}
}

// Ten thousand sign-ins over HTTP would take a minute, so the bound is reached underneath.
func TestSignInsAndTheirTokensAreBounded(t *testing.T) {
	g := newGrants(Config{Now: time.Now, RefreshLife: time.Hour, CodeLife: time.Minute})
	begin := func() string {
		code := g.issueCode(grant{clientID: "c", sub: "s"}, "u", "")
		out, refusal := g.redeem(redemption{code: code, clientID: "c", redirectURI: "u"})
		if refusal != nil {
			t.Fatal(refusal.reason)
		}
		return out.refresh
	}
	first := begin()
	for range maxFamilies {
		begin()
	}
	if len(g.tokens) > maxFamilies || len(g.families.held) > maxFamilies || len(g.codes.held) > maxCodes {
		t.Errorf("%d tokens, %d families, %d codes", len(g.tokens), len(g.families.held), len(g.codes.held))
	}
	if _, refusal := g.refresh(refreshing{token: first, clientID: "c"}); refusal == nil {
		t.Error("the oldest sign-in lives on")
	}
	last := begin()
	before := len(g.tokens)
	for range 3 * familyRemembers {
		out, refusal := g.refresh(refreshing{token: last, clientID: "c"})
		if refusal != nil {
			t.Fatal(refusal.reason)
		}
		last = out.refresh
	}
	if grown := len(g.tokens) - before; grown >= familyRemembers {
		t.Errorf("one sign-in holds %d tokens more", grown)
	}
}
