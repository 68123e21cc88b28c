package dynamodb_test

import (
	"errors"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/dynamodb/dynamodbtest"
	"vestibule/kv/kvtest"
)

func TestATableKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	kvtest.Run(t, func(t *testing.T) (kv.Store, func(time.Duration)) {
		c := newClock()
		return open(t, server.URL()+patient, c.now), c.pass
	})
}

// Two replicas with clocks of their own: who is behind must neither be locked out nor hand out a version twice.
func TestVersionsGrowWhateverTheClocksSay(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	url := server.URL() + patient
	c := newClock()
	ahead := open(t, url, func() time.Time { return c.now().Add(10 * time.Minute) })
	behind := open(t, url, c.now)
	last := kv.Absent
	grows := func(how string, v kv.Version) {
		t.Helper()
		if v <= last {
			t.Errorf("%s: version %d after %d", how, v, last)
		}
		last = v
	}
	grows("first", put(t, ahead, "k", kv.Absent))
	grows("over it, by a clock that is behind", put(t, behind, "k", kv.Any))
	grows("over it, by version", put(t, behind, "k", last))
	if err := behind.Delete(t.Context(), "k", kv.Any); err != nil {
		t.Fatal(err)
	}
	if _, err := ahead.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("after deletion: %v, want ErrNotFound", err)
	}
	grows("after deletion by a clock that is behind", put(t, behind, "k", kv.Absent))
	grows("by the other again", put(t, ahead, "k", kv.Any))
	if err := behind.Delete(t.Context(), "k", last); err != nil {
		t.Fatal(err)
	}
	if _, err := behind.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute, If: last}); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("over a deleted version: %v, want ErrConflict", err)
	}
	grows("after deletion of what a clock ahead wrote", put(t, behind, "k", kv.Absent))
	c.pass(time.Hour)
	grows("after expiry", put(t, behind, "k", kv.Absent))
	zero := open(t, url, func() time.Time { return time.Unix(0, 0) })
	grows("by a clock that was never set", put(t, zero, "k", kv.Any))
}

// DynamoDB removes an item when its ttl, in seconds, has passed, or days later.
func TestNothingIsRemovedBeforeItsVersionMayBeForgotten(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	c := newClock()
	table := server.Table()
	s := open(t, "dynamodb://"+table+"?region="+dynamodbtest.Region+"&endpoint="+server.Endpoint()+patient, c.now)
	put(t, s, "stays", kv.Absent)
	put(t, s, "goes", kv.Absent)
	if err := s.Delete(t.Context(), "goes", kv.Any); err != nil {
		t.Fatal(err)
	}
	all := server.Ask("Scan", `{"TableName":"`+table+`"}`)
	for what, want := range map[string]string{
		"an entry, an hour after it expired":   `"ttl":{"N":"1790003660"}`,
		"a tombstone, an hour after the entry": `"ttl":{"N":"1790003600"}`,
		"a tombstone counts as expired":        `"exp":{"N":"0"}`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%s: there is no %s in %s", what, want, all)
		}
	}
	if strings.Count(all, `"val"`) != 1 {
		t.Error("a tombstone keeps the value")
	}
}

func TestKeysThatAreNoTextAreKeptApart(t *testing.T) {
	t.Parallel()
	s := open(t, dynamodbtest.Start(t).URL()+patient, nil)
	keys := []string{"\xff", "\xfe", "\xff\xff", "\uFFFD", "b/_w", "_w", "k/_w", "feed", "feed/1", strings.Repeat("\xff", kv.MaxKey)}
	for _, key := range keys {
		if _, err := s.Put(t.Context(), kv.Write{Key: key, Value: []byte(key), TTL: time.Minute, If: kv.Absent}); err != nil {
			t.Errorf("put %q: %v", key, err)
		}
	}
	entries, err := s.GetMany(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if string(entries[i].Value) != key {
			t.Errorf("%q holds %q", key, entries[i].Value)
		}
	}
}

func TestTenYearsAndAMillisecondAreLifetimes(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, dynamodbtest.Start(t).URL()+patient, c.now)
	for key, ttl := range map[string]time.Duration{"long": kv.MaxTTL, "short": 1} {
		if _, err := s.Put(t.Context(), kv.Write{Key: key, TTL: ttl}); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if e, err := s.Get(t.Context(), key); err != nil || e.Expires.Before(c.now().Add(ttl)) {
			t.Errorf("%s: until %s, %v", key, e.Expires, err)
		}
	}
	c.pass(time.Millisecond)
	if _, err := s.Get(t.Context(), "short"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("a millisecond later: %v, want ErrNotFound", err)
	}
}

// What docs/operating.md says of the cost.
func TestWhatACallCosts(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	s := open(t, f.store(t, server)+patient, nil)
	v := kv.Absent
	for _, c := range []struct {
		what string
		call func() error
		want map[string]int
	}{
		{"Ping", func() error { return s.Ping(t.Context()) }, map[string]int{"GetItem": 1}},
		{"Get", func() error { _, _ = s.Get(t.Context(), "k"); return nil }, map[string]int{"GetItem": 1}},
		{"GetMany", func() error { _, err := s.GetMany(t.Context(), "k", "k", "l", "", "m"); return err }, map[string]int{"BatchGetItem": 1}},
		{"GetMany of nothing", func() error { _, err := s.GetMany(t.Context()); return err }, map[string]int{}},
		{"Put", func() error { v = put(t, s, "k", kv.Absent); return nil }, map[string]int{"PutItem": 1}},
		{"Put over it", func() error { v = put(t, s, "k", v); return nil }, map[string]int{"PutItem": 1}},
		{"Put that conflicts", func() error {
			_, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute})
			return not(err, kv.ErrConflict)
		}, map[string]int{"PutItem": 1, "GetItem": 1}},
		{"Delete", func() error { return s.Delete(t.Context(), "k", v) }, map[string]int{"PutItem": 1}},
		{"Delete of nothing", func() error { return s.Delete(t.Context(), "k", math.MaxInt64) }, map[string]int{"PutItem": 1, "GetItem": 1}},
		{"Publish", func() error { return s.Publish(t.Context(), []byte("m")) }, map[string]int{"UpdateItem": 1, "PutItem": 1}},
	} {
		f.counts()
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got := f.counts(); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// not is nil for the error that is wanted.
func not(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return errors.Join(errors.New("not the error that is wanted"), err)
}

func TestAnItemOfSomebodyElseIsNeitherReadNorReplaced(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	table := server.Table()
	s := open(t, "dynamodb://"+table+"?region="+dynamodbtest.Region+"&endpoint="+server.Endpoint()+patient, nil)
	for _, foreign := range []string{
		`{"pk":{"S":"k/k"},"data":{"S":"x"}}`,
		`{"pk":{"S":"k/k"},"ver":{"N":"-1"},"exp":{"N":"9999999999999"}}`,
		`{"pk":{"S":"k/k"},"ver":{"S":"1"},"exp":{"N":"9999999999999"}}`,
		`{"pk":{"S":"k/k"},"ver":{"N":"9999999999999999"},"exp":{"N":"1.5"}}`,
	} {
		server.Ask("PutItem", `{"TableName":"`+table+`","Item":`+foreign+`}`)
		if _, err := s.Get(t.Context(), "k"); err == nil || errors.Is(err, kv.ErrNotFound) {
			t.Errorf("Get of %s: %v, want a fault", foreign, err)
		}
		if _, err := s.GetMany(t.Context(), "k"); err == nil {
			t.Errorf("GetMany of %s: no fault", foreign)
		}
		if _, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute}); err == nil || errors.Is(err, kv.ErrConflict) {
			t.Errorf("Put over %s: %v, want a fault", foreign, err)
		}
	}
}
