package secret_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"vestibule/secret"
)

// key returns the text and the bytes of a key that is easy to tell from others.
func key(b byte) (string, []byte) {
	raw := bytes.Repeat([]byte{b}, 32)
	return base64.StdEncoding.EncodeToString(raw), raw
}

func literals(texts ...string) []secret.Value {
	var values []secret.Value
	for _, text := range texts {
		values = append(values, secret.New([]byte(text)))
	}
	return values
}

func fuzzAWS(t *testing.T) func(context.Context, secret.AWSSecret) ([]byte, error) {
	return func(_ context.Context, want secret.AWSSecret) ([]byte, error) {
		if want.ID == "" || want.Stage == "" || strings.Contains(want.ID, "#") {
			t.Errorf("asked for %+v", want)
		}
		return []byte(`{"k":"v"}`), nil
	}
}

func TestRingKeysAreDecodedNewestFirst(t *testing.T) {
	a, rawA := key(1)
	b, rawB := key(2)
	ring, err := secret.NewRing(literals(a, b)...)
	if err != nil {
		t.Fatal(err)
	}
	got := ring.Keys()
	if len(got) != 2 || !bytes.Equal(got[0], rawA) || !bytes.Equal(got[1], rawB) {
		t.Errorf("got %x", got)
	}
	got[0][0] = 99
	if !bytes.Equal(ring.Keys()[0], rawA) {
		t.Error("a caller changed the ring's key")
	}
}

func TestRingNamesEveryFaultAtOnce(t *testing.T) {
	a, _ := key(1)
	short := base64.StdEncoding.EncodeToString(make([]byte, 16))
	raw := strings.TrimRight(a, "=")
	urlSafe := strings.Repeat("_", 42) + "8="
	tests := map[string]struct {
		values []secret.Value
		want   string
	}{
		"a short key":               {literals(a, short), "key 2 is 16 bytes, want 32"},
		"a repeated key":            {literals(a, short, a), "key 2 is 16 bytes, want 32\nkey 3 repeats key 1"},
		"a key that is not base64":  {literals("hunter2!"), "key 1 is not standard base64"},
		"a key without its padding": {literals(raw), "key 1 is not standard base64"},
		"a key in base64url":        {literals(urlSafe), "key 1 is not standard base64"},
		"a key with a line break":   {literals(a[:8] + "\n" + a[8:]), "key 1 is not standard base64"},
		"a key with loose bits":     {literals(strings.Repeat("A", 42) + "B="), "key 1 is not standard base64"},
		"a value that is not set":   {[]secret.Value{secret.New([]byte(a)), {}}, "key 2 is empty"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ring, err := secret.NewRing(test.values...)
			if err == nil || err.Error() != test.want || ring != nil {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if _, err := secret.NewRing(); !errors.Is(err, secret.ErrNoKeys) {
		t.Errorf("no keys: got %v", err)
	}
}

func TestCheckKeysPassesOverValuesThatAreNotSet(t *testing.T) {
	a, _ := key(1)
	faults := secret.CheckKeys(append([]secret.Value{{}}, literals(a, "x", a)...)...)
	var got []string
	for _, fault := range faults {
		got = append(got, fault.Error())
	}
	if want := "key 3 is not standard base64|key 4 repeats key 2"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// rotating is a ring of one AWS secret in two stages, with a clock to move.
type rotating struct {
	ring              *secret.Ring
	current, previous string
	now               time.Time
}

func newRotating(t *testing.T, current, previous string) *rotating {
	t.Helper()
	rot := &rotating{current: current, previous: previous, now: time.Unix(1_800_000_000, 0)}
	r := secret.NewResolver(secret.Config{
		Now: func() time.Time { return rot.now },
		AWS: func(_ context.Context, want secret.AWSSecret) ([]byte, error) {
			if want.Stage == "AWSPREVIOUS" {
				return []byte(rot.previous), nil
			}
			return []byte(rot.current), nil
		},
	})
	ring, err := secret.NewRing(resolve(t, r, "awssm:k"), resolve(t, r, "awssm:k@AWSPREVIOUS"))
	if err != nil {
		t.Fatal(err)
	}
	rot.ring = ring
	return rot
}

func (rot *rotating) refresh(t *testing.T) error {
	t.Helper()
	rot.now = rot.now.Add(time.Minute)
	return rot.ring.Refresh(t.Context())
}

// ripen lets the time pass in which a new key only opens.
func (rot *rotating) ripen() { rot.now = rot.now.Add(2 * time.Minute) }

// A replica that may not look for new keys just now must not meet what one of them sealed.
func TestAKeyThatAReadBringsOpensAtOnceAndSealsOnlyWhenAllHadTheirLook(t *testing.T) {
	k0, raw0 := key(40)
	k1, raw1 := key(41)
	k2, raw2 := key(42)
	k3, raw3 := key(43)
	rot := newRotating(t, k1, k0)
	is := func(when string, want ...[]byte) {
		t.Helper()
		if got := rot.ring.Keys(); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s: got %x, want %x", when, got, want)
		}
	}
	rot.current, rot.previous = k2, k1
	if err := rot.refresh(t); err != nil {
		t.Fatal(err)
	}
	is("at once", raw1, raw2, raw0)
	young := rot.ring.Version()
	rot.now = rot.now.Add(2*time.Minute - time.Second)
	is("a moment before", raw1, raw2, raw0)
	if got := rot.ring.Version(); got != young {
		t.Errorf("a moment before: got version %d, want %d", got, young)
	}
	rot.now = rot.now.Add(time.Second)
	if got := rot.ring.Version(); got <= young {
		t.Errorf("version %d did not grow from %d: nobody would seal with the new key", got, young)
	}
	is("then", raw2, raw1, raw0)
	if got := rot.ring.Version(); got != young+2 { // both keys were read
		t.Errorf("got version %d for the same keys, want %d", got, young+2)
	}
	rot.now = rot.now.Add(time.Hour)
	rot.current, rot.previous = k1, k2
	if err := rot.refresh(t); err != nil {
		t.Fatal(err)
	}
	rot.current = k3
	if err := rot.refresh(t); err != nil {
		t.Fatal(err)
	}
	is("one that was replaced before it sealed", raw2, raw3, raw1)
	rot.ripen()
	is("then", raw3, raw2, raw1)
}

func TestRingSaysWhenItsKeysWereReadLast(t *testing.T) {
	k0, _ := key(50)
	k1, _ := key(51)
	rot := newRotating(t, k1, k0)
	start := rot.now
	is := func(when string, want time.Time) {
		t.Helper()
		if got, follows := rot.ring.LastRead(); !got.Equal(want) || !follows {
			t.Errorf("%s: got %s and %v, want %s and true", when, got, follows, want)
		}
	}
	is("at the start", start)
	rot.current = "hunter2!"
	if err := rot.refresh(t); err == nil {
		t.Error("a bad key was taken")
	}
	is("after a read that brought only one of them", start)
	rot.current = k1
	if err := rot.refresh(t); err != nil {
		t.Fatal(err)
	}
	is("after a good read", rot.now)
	fixed, err := secret.NewRing(literals(k0)...)
	if err != nil {
		t.Fatal(err)
	}
	if _, follows := fixed.LastRead(); follows {
		t.Error("a literal was read again")
	}
}

// What cannot be read any more is no reason to keep everybody waiting for ever.
func TestRingJudgesItsReadsByTheKeyThatSeals(t *testing.T) {
	k0, _ := key(60)
	k1, _ := key(61)
	rot := newRotating(t, k1, k0)
	rot.previous = "hunter2!"
	if err := rot.refresh(t); err == nil {
		t.Error("a bad key was taken")
	}
	if got, follows := rot.ring.LastRead(); !got.Equal(rot.now) || !follows {
		t.Errorf("a key that only opens cannot be read: got %s and %v, want %s and true", got, follows, rot.now)
	}
	rot.current = "hunter2!"
	for minute := range 7 {
		if err := rot.refresh(t); err == nil {
			t.Error("a bad key was taken")
		}
		if _, follows := rot.ring.LastRead(); follows != (minute <= 5) {
			t.Errorf("%d minutes after the first read that failed: got %v", minute, follows)
		}
	}
	rot.current = k1
	if err := rot.refresh(t); err == nil {
		t.Error("a bad key was taken")
	}
	if got, follows := rot.ring.LastRead(); !got.Equal(rot.now) || !follows {
		t.Errorf("it can be read again: got %s and %v, want %s and true", got, follows, rot.now)
	}
}

func TestRingFollowsARotation(t *testing.T) {
	k0, raw0 := key(10)
	k1, raw1 := key(11)
	k2, raw2 := key(12)
	rot := newRotating(t, k1, k0)
	before := rot.ring.Version()
	if err := rot.refresh(t); err != nil || rot.ring.Version() != before {
		t.Errorf("nothing changed: got version %d and %v, want %d", rot.ring.Version(), err, before)
	}
	rot.current, rot.previous = k2, k1
	if err := rot.refresh(t); err != nil {
		t.Fatal(err)
	}
	if rot.ring.Version() <= before {
		t.Errorf("version %d did not grow from %d", rot.ring.Version(), before)
	}
	rot.ripen()
	got := rot.ring.Keys()
	if len(got) != 3 || !bytes.Equal(got[0], raw2) || !bytes.Equal(got[1], raw1) || !bytes.Equal(got[2], raw0) {
		t.Errorf("got %x", got)
	}
}

// A rotation is seen stage by stage; between the two reads the key that sealed every
// living session must still open.
func TestRingOpensWithTheReplacedKeyWhileTheOtherStageLagsBehind(t *testing.T) {
	k0, _ := key(20)
	k1, raw1 := key(21)
	k2, raw2 := key(22)
	rot := newRotating(t, k1, k0)
	rot.current = k2
	if err := rot.refresh(t); err != nil {
		t.Fatal(err)
	}
	rot.ripen()
	got := rot.ring.Keys()
	if len(got) != 3 || !bytes.Equal(got[0], raw2) || !bytes.Equal(got[2], raw1) {
		t.Errorf("got %x", got)
	}
}

func TestRingKeepsTheLastGoodKeyWhenARefreshBringsABadOne(t *testing.T) {
	k0, _ := key(30)
	k1, raw1 := key(31)
	rot := newRotating(t, k1, k0)
	before := rot.ring.Version()
	rot.current = "hunter2!"
	err := rot.refresh(t)
	if err == nil || !strings.Contains(err.Error(), "refresh key 1: awssm:k: the new value is not standard base64") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error holds the value: %v", err)
	}
	if got := rot.ring.Keys(); len(got) != 2 || !bytes.Equal(got[0], raw1) || rot.ring.Version() != before {
		t.Errorf("got %x, version %d", got, rot.ring.Version())
	}
}

func TestGenerateKeyMakesKeysThatARingTakes(t *testing.T) {
	if _, err := secret.NewRing(literals(secret.GenerateKey(), secret.GenerateKey())...); err != nil {
		t.Error(err)
	}
}
