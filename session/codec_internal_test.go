package session

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

type oneKey struct{}

func (oneKey) Keys() [][]byte  { return [][]byte{bytes.Repeat([]byte{1}, 32)} }
func (oneKey) Version() uint64 { return 1 }

func (oneKey) Refresh(context.Context) error { return nil }

func (oneKey) LastRead() (time.Time, bool) { return time.Time{}, false }

func sample() *Session {
	now := time.Unix(1_790_000_000, 0)
	return &Session{ID: ID{1, 2, 3}, Started: now, Seen: now.Add(time.Minute), Generation: 7, Tokens: Tokens{
		AccessToken: "eyJhIjoxfQ.eyJiIjoyfQ.AAAA", RefreshToken: "opaque", Issued: now, Expires: now.Add(time.Hour), Claims: []byte(`{}`),
	}}
}

func mustPack(t testing.TB, c *codec, s *Session) []byte {
	t.Helper()
	b, err := c.pack(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnUnknownFormatIsNotMisread(t *testing.T) {
	c := newCodec("https://issuer.example", "client")
	good := mustPack(t, c, sample())
	if _, err := c.unpack(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(b []byte) []byte{
		"the next version":        func(b []byte) []byte { b[0]++; return b },
		"version nought":          func(b []byte) []byte { b[0] = 0; return b },
		"another dictionary":      func(b []byte) []byte { b[4] ^= 1; return b },
		"nothing":                 func([]byte) []byte { return nil },
		"only the head":           func(b []byte) []byte { return b[:21] },
		"cut before the text":     func(b []byte) []byte { return b[:40] },
		"cut at the end":          func(b []byte) []byte { return b[:len(b)-1] },
		"a number without an end": func(b []byte) []byte { return append(b[:21], bytes.Repeat([]byte{0xff}, 30)...) },
	} {
		if s, err := c.unpack(spoil(bytes.Clone(good))); s != nil || !errors.Is(err, errFormat) {
			t.Errorf("%s: %v, %v; want errFormat", name, s, err)
		}
	}
}

// The first release sealed no life: such a session lasts as long as the configuration says, and goes on as it was.
func TestASessionOfTheFirstFormatIsRead(t *testing.T) {
	c := newCodec("https://issuer.example", "client")
	old := mustPack(t, c, sample())
	const life = 21 + 5 // behind the head and the start
	if old[life] != 0 {
		t.Fatalf("% x: a life where none is known", old[:life+1])
	}
	old = append(old[:life:life], old[life+1:]...)
	old[0] = formatLifeless
	s, err := c.unpack(old)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mustPack(t, c, s), mustPack(t, c, sample())) {
		t.Errorf("read as %+v", s)
	}
	m := &Manager{c: Config{MaxAge: 3 * time.Hour}}
	if got, want := m.Limit(s), s.Started.Add(3*time.Hour); !got.Equal(want) {
		t.Errorf("it lasts until %s, want %s", got, want)
	}
}

func TestALifeIsPackedInWholeSecondsAndNeverAsNone(t *testing.T) {
	c := newCodec("https://issuer.example", "client")
	for maxAge, want := range map[time.Duration]time.Duration{
		720 * time.Hour: 720 * time.Hour, 1500 * time.Millisecond: 2 * time.Second, time.Nanosecond: time.Second,
	} {
		s := sample()
		s.life = wholeSeconds(maxAge)
		again, err := c.unpack(mustPack(t, c, s))
		if err != nil {
			t.Fatal(err)
		}
		if again.life != want {
			t.Errorf("%s came back as %s, want %s", maxAge, again.life, want)
		}
		m := &Manager{c: Config{MaxAge: maxAge}}
		if got := m.Limit(again).Sub(again.Started); got != maxAge {
			t.Errorf("with MaxAge %s it lasts %s", maxAge, got)
		}
	}
}

// A session of a later release, sealed under the same keys, is no session here: the cookie is cleared, nothing is misread.
func TestACookieOfALaterReleaseIsUnreadable(t *testing.T) {
	s, err := newSealer(oneKey{})
	if err != nil {
		t.Fatal(err)
	}
	c := newCodec("https://issuer.example", "client")
	packed := mustPack(t, c, sample())
	packed[0]++
	sealed, err := s.seal("name", packed)
	if err != nil {
		t.Fatal(err)
	}
	m := &Manager{c: Config{CookieName: "name"}, sealer: s, codec: c}
	if _, err := m.Load(t.Context(), []string{"name=" + sealed}); !errors.Is(err, ErrUnreadable) {
		t.Errorf("%v, want ErrUnreadable", err)
	}
}

func TestABombIsNotUnfolded(t *testing.T) {
	c := newCodec("https://issuer.example", "client")
	head := mustPack(t, c, sample())[:21]
	body := append(head, make([]byte, 6+1+1)...) // six numbers and two empty runs
	bomb := c.deflate(body, []byte(strings.Repeat("a", 4<<20)))
	if s, err := c.unpack(bomb); s != nil || !errors.Is(err, errFormat) {
		t.Errorf("%v, %v; want errFormat", s, err)
	}
	f := c.unfolders.Get().(*unfolder)
	if got := f.text.Cap(); got > 4*maxInflated {
		t.Errorf("%d bytes were unfolded, want little more than %d", got, maxInflated)
	}
}

// FuzzUnpack feeds the unpacker what no seal would let through. What it accepts must survive being packed again.
func FuzzUnpack(f *testing.F) {
	c := newCodec("https://issuer.example", "client")
	f.Add(mustPack(f, c, sample())[21:])
	f.Add(mustPack(f, c, &Session{})[21:])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	head := mustPack(f, c, sample())[:21]
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := c.unpack(append(bytes.Clone(head), body...))
		if err != nil {
			return
		}
		if s.Generation > math.MaxInt32 || s.Seen.Before(s.Started) || s.Life() < 0 {
			t.Fatalf("unpacked %+v", s)
		}
		again, err := c.unpack(mustPack(t, c, s))
		if err != nil {
			t.Fatalf("packed again it cannot be read: %v", err)
		}
		if again.Tokens.AccessToken != s.Tokens.AccessToken || again.Tokens.RefreshToken != s.Tokens.RefreshToken || !again.Tokens.Expires.Equal(s.Tokens.Expires) {
			t.Fatalf("packed again\n%+v\nwas\n%+v", again, s)
		}
	})
}
