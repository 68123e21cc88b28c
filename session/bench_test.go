package session_test

import (
	"context"
	"testing"
	"time"

	"vestibule/session"
)

func cognitoHouse(b *testing.B, change ...func(*session.Config)) (*house, *session.Session, []string) {
	b.Helper()
	h := newHouse(b, change...)
	h.config.Observe = nil
	m, err := session.New(h.config)
	if err != nil {
		b.Fatal(err)
	}
	h.Manager = m
	s, cookies, err := h.Start(b.Context(), cognitoTokens(time.Now()), nil, "")
	if err != nil {
		b.Fatal(err)
	}
	jar := &browser{cookies: cookies}
	return h, s, jar.header()
}

func forgetful(c *session.Config) { c.Remembered = -1 }

// BenchmarkCookies is sealing: packing, deflating, encrypting, once per sign-in or refresh.
func BenchmarkCookies(b *testing.B) {
	h, s, header := cognitoHouse(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Cookies(s, header); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoadNeverSeen is opening a cookie that is not remembered.
func BenchmarkLoadNeverSeen(b *testing.B) {
	h, _, header := cognitoHouse(b, forgetful)
	benchmarkLoad(b, h, header)
}

// BenchmarkLoadNeverSeenUnderAnOlderKey pays for one key that does not fit.
func BenchmarkLoadNeverSeenUnderAnOlderKey(b *testing.B) {
	h, _, header := cognitoHouse(b, forgetful)
	h.ring.turn(key(2), key(1))
	benchmarkLoad(b, h, header)
}

func BenchmarkLoadRemembered(b *testing.B) {
	h, _, header := cognitoHouse(b)
	benchmarkLoad(b, h, header)
}

func benchmarkLoad(b *testing.B, h *house, header []string) {
	b.Helper()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Load(ctx, header); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadGarbage(b *testing.B) {
	h := newHouse(b)
	header := []string{cookieName + "=" + part(noise(1, 2400))}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Load(ctx, header); err == nil {
			b.Fatal("garbage was opened")
		}
	}
}

func BenchmarkFreshNotDue(b *testing.B) {
	h, s, _ := cognitoHouse(b)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Fresh(ctx, s, session.Need{}); err != nil {
			b.Fatal(err)
		}
	}
}
