package kv_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"vestibule/kv"
	"vestibule/kv/kvtest"
)

func TestMemoryIsAFeed(t *testing.T) {
	kvtest.RunFeed(t, func(*testing.T) (a, b kv.Feed) {
		m := kv.NewMemory(kv.MemoryConfig{})
		return m, m
	})
}

// What waits for a listener is bounded: past that it is dropped, and the listener is told so before anything newer.
func TestAListenerWhoFallsFarBehindIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kv.NewMemory(kv.MemoryConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		hold := make(chan struct{})
		go m.Listen(ctx, kv.Listener{
			Hear:   func(message []byte) { got = append(got, string(message)); <-hold },
			Missed: func() { got = append(got, "missed") },
		})
		synctest.Wait()
		const n = 1024 + 1 + 2 // one is being heard, then the queue is full, then two too many
		for i := range n {
			if err := m.Publish(t.Context(), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		close(hold)
		synctest.Wait()
		if want := []string{"missed", "0", "missed", "1025", "1026"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		cancel()
		synctest.Wait()
		if err := m.Publish(t.Context(), []byte("late")); err != nil || got[len(got)-1] != "1026" {
			t.Errorf("after the end: %q, %v", got, err)
		}
	})
}
