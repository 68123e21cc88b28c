package devidp

import (
	"testing"
	"time"
)

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
