package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"vestibule/kv"
)

func many(t *testing.T, open Open) {
	s, _ := open(t)
	put(t, s, kv.Write{Key: "a", Value: []byte("1"), TTL: time.Minute})
	put(t, s, kv.Write{Key: "b", Value: []byte("2"), TTL: time.Hour})
	put(t, s, kv.Write{Key: "empty", TTL: time.Hour})
	keys := []string{"b", "nobody", "a", "empty", "b", "", "nobody", strings.Repeat("k", kv.MaxKey+1)}
	entries := getMany(t, s, keys...)
	for i, key := range keys {
		e := entries[i]
		want, err := s.Get(t.Context(), key)
		if errors.Is(err, kv.ErrNotFound) {
			if e.Value != nil || e.Version != kv.Absent || !e.Expires.IsZero() {
				t.Errorf("%d: the entry of an unknown key is %+v, want the zero one", i, e)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.Value, want.Value) || e.Version != want.Version || !e.Expires.Equal(want.Expires) {
			t.Errorf("%d, %q: %+v, want what Get answers, %+v", i, key, e, want)
		}
	}
	if got := string(entries[0].Value) + string(entries[2].Value) + string(entries[4].Value); got != "212" {
		t.Errorf("values %q, want those of the keys in their order, 212", got)
	}
	if entries[3].Version == kv.Absent {
		t.Error("an entry with an empty value is called unknown")
	}
}

func manyCopies(t *testing.T, open Open) {
	s, _ := open(t)
	put(t, s, kv.Write{Key: "k", Value: []byte("mine"), TTL: time.Minute})
	for range 2 {
		entries := getMany(t, s, "k", "k")
		entries[0].Value[0] = 'x'
		if got := string(entries[1].Value); got != "mine" {
			t.Errorf("value %q after the other copy was changed", got)
		}
		entries[1].Value[0] = 'x'
	}
}

func manyExpired(t *testing.T, open Open) {
	s, pass := open(t)
	put(t, s, kv.Write{Key: "short", Value: []byte("x"), TTL: 100 * time.Millisecond})
	put(t, s, kv.Write{Key: "long", Value: []byte("x"), TTL: time.Minute})
	pass(150 * time.Millisecond)
	entries := getMany(t, s, "short", "long")
	if e := entries[0]; e.Version != kv.Absent || e.Value != nil {
		t.Errorf("the expired one: %+v, want the zero entry", e)
	}
	if e := entries[1]; e.Version == kv.Absent || string(e.Value) != "x" {
		t.Errorf("the living one: %+v", e)
	}
}

func manyLimits(t *testing.T, open Open) {
	s, _ := open(t)
	getMany(t, s)
	keys := make([]string, kv.MaxKeys+1)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	put(t, s, kv.Write{Key: keys[kv.MaxKeys-1], Value: []byte("last"), TTL: time.Minute})
	entries := getMany(t, s, keys[:kv.MaxKeys]...)
	if got := string(entries[kv.MaxKeys-1].Value); got != "last" {
		t.Errorf("the last of %d: %q", kv.MaxKeys, got)
	}
	if _, err := s.GetMany(t.Context(), keys...); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("%d keys: %v, want ErrInvalid", len(keys), err)
	}
}

// manyLarge asks for 17.5 MB, which is more than DynamoDB gives in one answer.
func manyLarge(t *testing.T, open Open) {
	s, _ := open(t)
	keys := make([]string, 70)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
		put(t, s, kv.Write{Key: keys[i], Value: bytes.Repeat([]byte{byte(i)}, kv.MaxValue), TTL: time.Minute})
	}
	for i, e := range getMany(t, s, keys...) {
		if len(e.Value) != kv.MaxValue || e.Value[0] != byte(i) || e.Value[kv.MaxValue-1] != byte(i) {
			t.Fatalf("%d: %d bytes, want the %d put", i, len(e.Value), kv.MaxValue)
		}
	}
}

func manyEndedContext(t *testing.T, open Open) {
	s, _ := open(t)
	put(t, s, kv.Write{Key: "k", Value: []byte("1"), TTL: time.Minute})
	_ = returnsSoon(t, "GetMany", func(ctx context.Context) error {
		entries, err := s.GetMany(ctx, "k", "nobody")
		if err == nil && (len(entries) != 2 || string(entries[0].Value) != "1") {
			t.Errorf("GetMany: %+v without an error, want what was put", entries)
		}
		return err
	})
}

func getMany(t *testing.T, s kv.Store, keys ...string) []kv.Entry {
	t.Helper()
	entries, err := s.GetMany(context.Background(), keys...)
	if err != nil {
		t.Fatalf("get many: %v", err)
	}
	if len(entries) != len(keys) {
		t.Fatalf("%d entries for %d keys", len(entries), len(keys))
	}
	return entries
}
