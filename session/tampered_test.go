package session_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vestibule/secret"
	"vestibule/session"
)

// keyFile is a key in a file, as a deployment without a secret manager has it.
func keyFile(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "key")
	writeKey(t, path)
	return path
}

func writeKey(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(secret.GenerateKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tampered are Cookie header lines of the browser, each with another byte changed.
func tampered(t testing.TB, b *browser) (lines []string) {
	t.Helper()
	name, value, _ := strings.Cut(b.header()[0], "=")
	raw, err := base64.URLEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{20, len(raw) / 2, len(raw) - 1} {
		bad := bytes.Clone(raw)
		if bad[at] ^= 1; at < len(raw)-32 {
			bad[at] = "AB"[raw[at]&1] // base64 still
		}
		lines = append(lines, name+"="+base64.URLEncoding.EncodeToString(bad))
	}
	return lines
}

// The second of two within ten seconds was told 503, and kept.
func TestATamperedCookieIsUnreadableHoweverManyCome(t *testing.T) {
	for name, ref := range map[string]func(t testing.TB) string{
		"a literal key":    func(testing.TB) string { return secret.GenerateKey() },
		"an environment's": func(testing.TB) string { return "env:KEY" },
		"a key in a file":  func(t testing.TB) string { return "file:" + keyFile(t) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				env := secret.GenerateKey()
				c := secret.Config{LookupEnv: func(string) (string, bool) { return env, true }}
				h := newHouse(t, onRing(ringOf(t, c, ref(t))))
				_, b := h.signIn(t)
				for _, wait := range []time.Duration{0, 10 * time.Millisecond, time.Second, time.Hour} {
					pass(wait)
					_, fresh := h.signIn(t)
					for _, line := range append(tampered(t, b), tampered(t, fresh)...) {
						if _, err := h.Load(t.Context(), []string{line}); !errors.Is(err, session.ErrUnreadable) {
							t.Errorf("%s later: got %v, want ErrUnreadable: its answer clears the cookie", wait, err)
						}
					}
				}
				h.load(t, b)
			})
		})
	}
}

// A key was cut off by a restart with another in its place.
func TestACookieOfAKeyThatWasTakenAwayIsUnreadableAtOnceAfterTheStart(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (start func() *secret.Ring, rotate func()){
		"in a file": func(t *testing.T) (func() *secret.Ring, func()) {
			path := keyFile(t)
			return func() *secret.Ring { return ringOf(t, secret.Config{}, "file:"+path) }, func() { writeKey(t, path) }
		},
		"in a secret manager": func(t *testing.T) (func() *secret.Ring, func()) {
			v := &vault{}
			v.rotate()
			return func() *secret.Ring { return v.ring(t) }, v.rotate
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ring, rotate := start(t)
				_, b := newHouse(t, onRing(ring())).signIn(t)
				pass(5 * time.Second)
				rotate()
				h := newHouse(t, onRing(ring()))
				pass(2 * time.Second)
				if _, err := h.Load(t.Context(), b.header()); !errors.Is(err, session.ErrUnreadable) {
					t.Errorf("got %v, want ErrUnreadable: its answer clears the cookie", err)
				}
			})
		})
	}
}

func TestANewKeyInAFileIsKnownAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		path := keyFile(t)
		late := newHouse(t, onRing(ringOf(t, secret.Config{}, "file:"+path)))
		_, before := late.signIn(t)
		line := tampered(t, before)[:1]
		if _, err := late.Load(t.Context(), line); !errors.Is(err, session.ErrUnreadable) {
			t.Errorf("got %v, want ErrUnreadable", err)
		}
		writeKey(t, path)
		s, b := late.replica(t, onRing(ringOf(t, secret.Config{}, "file:"+path))).signIn(t)
		if got := late.load(t, b); got.ID != s.ID {
			t.Error("another session was opened")
		}
	})
}

// A key that only opened was removed, or the one that seals cannot be read any more: what nobody will ever open is not in doubt for ever.
func TestAFileThatIsGoneKeepsForeignCookiesInDoubtForMinutesAtMost(t *testing.T) {
	for gone, doubt := range map[string]bool{"first": true, "second": false} {
		t.Run(gone, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				paths := map[string]string{"first": keyFile(t), "second": keyFile(t)}
				ring := ringOf(t, secret.Config{}, "file:"+paths["first"], "file:"+paths["second"])
				h := newHouse(t, onRing(ring))
				pass(time.Hour)
				if err := os.Remove(paths[gone]); err != nil {
					t.Fatal(err)
				}
				for _, wait := range []time.Duration{0, 4 * time.Minute, 2 * time.Minute, 24 * time.Hour} {
					pass(wait)
					_, foreign := newHouse(t).signIn(t) // of another deployment, sealed now
					_, err := h.Load(t.Context(), foreign.header())
					inDoubt := doubt && wait < 24*time.Hour && wait != 2*time.Minute
					if want := map[bool]error{true: session.ErrUnavailable, false: session.ErrUnreadable}[inDoubt]; !errors.Is(err, want) {
						t.Errorf("%s more: got %v, want %v", wait, err, want)
					}
				}
				if doubt { // it is there again, with another key
					writeKey(t, paths[gone])
					s, b := h.replica(t, onRing(ringOf(t, secret.Config{}, "file:"+paths["first"]))).signIn(t)
					pass(floor)
					if got := h.load(t, b); got.ID != s.ID {
						t.Error("another session was opened")
					}
				}
			})
		})
	}
}
